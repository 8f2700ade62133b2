/** The gateways' certificate: when it is due, and what the machines show where something goes wrong on the way. */
import { expect, test } from "vitest";
import { createCertificateRotationActivities } from "../../functions/rotation/certificate-activities.ts";
import { certificateDue } from "../../functions/rotation/certificate-due.ts";
import { type CertificateRotation, rotateCertificate } from "../../functions/rotation/certificate.ts";
import { certificateSteps } from "../../functions/rotation/steps.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import { namesOf } from "../../shared/azure/names.ts";
import { systemClock } from "../../shared/clock.ts";
import type { GatewayCertificate } from "../../shared/desired/certificate.ts";
import { waitForOperation } from "../../shared/durable/resources.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { tlsCertificate } from "../../shared/resources/tls-certificate.ts";
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import type { Certificates, FoundCertificate } from "../../shared/vault/certificates.ts";
import { customer } from "../support/onboarding.ts";
import { play } from "../support/play.ts";
import { testStores, unique } from "../support/stores.ts";

const vaultUrl = "https://contoso-kv.vault.azure.net";
const NAME = "gateway.contoso.example";
const thumbprintOf = (number: number): string => String(number).repeat(40);
const certificate = (number: number, months: number): GatewayCertificate => ({
  name: NAME,
  thumbprint: thumbprintOf(number),
  secret: { vaultUrl, name: "smtp-certificate", version: `v${number}` },
  earlier: number === 1 ? [] : [thumbprintOf(1)],
  madeAt: "2026-11-01T00:00:00.000Z",
  expiresAt: `2027-${String(months).padStart(2, "0")}-01T00:00:00.000Z`,
  trusted: true,
  forClients: true,
});
const found = (number: number, more: object = {}): FoundCertificate => {
  const { thumbprint, secret, earlier, madeAt = "", expiresAt = "" } = certificate(number, 6);
  const fit = { validity: "valid" as const, selfSigned: false, issuer: "Unknown", contentType: "application/x-pkcs12" };
  const of = { names: [NAME], notBefore: madeAt, notAfter: expiresAt, forClients: true, exportable: true };
  return { pending: false, thumbprint, secret, earlier, ...of, ...fit, ...more };
};

const due = async (actual: FoundCertificate, { issuer, ending }: { issuer?: string; ending: boolean }) => {
  const { spec } = customer("contoso", "contoso", { certificate: { name: NAME, ...(issuer && { issuer }) } });
  const tasks: string[] = [];
  const world = {
    stores: {
      tenants: { get: async () => ({ partnerId: "northwind", id: "contoso", spec, facts: {} }) },
      tasks: {
        open: async ({ instructions }: { instructions: string }) => void tasks.push(instructions),
        end: async () => void tasks.push("done"),
      },
    },
    resources: {
      tlsCertificate: tlsCertificate({
        certificates: { read: async () => ({ state: "present", actual }) } as unknown as Certificates,
      }),
    },
  } as unknown as RotationWorld;
  const credential = {
    partnerId: "northwind",
    tenantId: "contoso",
    name: "smtpCertificate",
    vaultUrl,
    current: { keyId: thumbprintOf(1), expiresAt: "2027-02-01T00:00:00.000Z" },
  } as unknown as CredentialRecord;
  return { due: await certificateDue(world, credential, ending), tasks };
};

test("a newer one that is fit is due at once, whoever put it there; at its renewal an issuer is asked, or a person", async () => {
  for (const ending of [false, true]) expect(await due(found(2), { ending })).toEqual({ due: true, tasks: ["done"] });
  expect(await due(found(1), { ending: false })).toEqual({ due: false, tasks: [] });
  const asked = await due(found(1), { ending: true });
  expect(asked.due).toBe(false);
  expect(asked.tasks).toEqual([
    expect.stringMatching(/^The one in use is good until 2027-02-01T.* import a certificate for gateway/),
  ]);
  expect(await due(found(1, { issuer: "DigiCert" }), { issuer: "DigiCert", ending: true })).toEqual({ due: true, tasks: [] });
  expect(await due(found(1, { issuer: "DigiCert" }), { issuer: "DigiCert", ending: false })).toEqual({ due: false, tasks: [] });
  const unfit = await due(found(2, { names: ["other.contoso.example"] }), { ending: false });
  expect(unfit).toEqual({ due: false, tasks: [expect.stringContaining("of no use (names)")] });
});

const { tenantId, spec } = customer("contoso", "contoso", {
  regions: [{ name: "westeurope", machines: 2 }],
  certificate: { name: NAME },
});
const names = namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions });
const address = (number: number) => ({ id: `ip${number}`, ipAddress: `203.0.113.${number}`, fqdn: `gw${number}.example` });
const input: CertificateRotation = {
  work: { partnerId: "northwind", tenantId, operationId: "operation-1" },
  key: { partnerId: "northwind", tenantId, name: "smtpCertificate" },
  generation: 2,
  spec,
  names,
  ground: {
    regions: [{ loadBalancer: address(9), machines: [address(1), address(2)] }],
    loopGuid: { vaultUrl, name: "loop-guid", version: "1" },
    identityClientId: "c0ffee00-0000-4000-8000-0000000000f1",
    certificate: certificate(1, 3),
  },
  shown: certificate(1, 3),
  wanted: {
    owner: { partnerId: "northwind", tenantId },
    entraTenantId: spec.azure.tenantId,
    vaultUrl,
    certificate: "smtp-certificate",
    name: NAME,
  },
  pace: {
    patience: { tries: 3, firstWaitInSeconds: 5, longestWaitInSeconds: 60 },
    operationDeadlineInSeconds: 3600,
    probeIntervalInSeconds: 60,
    probeDeadlineInSeconds: 3600,
    overlapInSeconds: 3600,
    lifetimeInSeconds: 3600,
  },
  certificateOverlapInSeconds: 604_800,
};

interface Entry {
  thumbprint: string;
  absent?: true;
}
interface Ensure {
  kind: string;
  step: string;
  desired: { virtualMachine: string; poolId?: string; document: { generation: number; certificates: Entry[] } };
}
type Fault = "unreachable" | "not trusted" | undefined;

/** The machines hold what their documents say, and show the newest of it; `faults` are what is seen of the new one, machine by machine. */
async function rotated(rotation: CertificateRotation, faults: Fault[] = []) {
  const { machines = [] } = names.regions[0] ?? {};
  const held = new Map(machines.map(({ virtualMachine }) => [virtualMachine, new Set([thumbprintOf(1)])]));
  const steps: string[] = [];
  const out = new Set<string>();
  let mostOut = 0;
  const [refused, ends]: [string[], string[]] = [[], []];
  const { result } = await play({
    start: rotateCertificate,
    orchestrators: [rotateCertificate, waitForOperation],
    input: rotation,
    activities: {
      claimRotation: async () => ({ claimed: true, ...(rotation.finish && { flipped: { keyId: rotation.shown.thumbprint } }) }),
      readMailRoute: async () => ({ smartHost: "contoso.mail.example", relayFrom: [] }),
      ensureResource: async ({ kind, step, desired }: Ensure) => {
        steps.push(step);
        if (kind === "tlsCertificate") return { actual: found(2) };
        if (kind === "networkInterface") out[desired.poolId === undefined ? "add" : "delete"](step.replace(/^.*Pool/, ""));
        mostOut = Math.max(mostOut, out.size);
        const store = held.get(desired.virtualMachine);
        for (const { thumbprint, absent } of kind === "guest" ? desired.document.certificates : [])
          store?.[absent ? "delete" : "add"](thumbprint);
        return { actual: {} };
      },
      confirmResource: async () => ({ actual: {} }),
      checkCertificateShown: async ({ address: at }: { address: string }) => {
        const fault = faults[at === "203.0.113.1" ? 0 : 1];
        if (fault === "not trusted") throw new ControlPlaneError("CertificateNotTrusted", "nobody trusts it", 409);
        if (fault === "unreachable") throw new ControlPlaneError("GatewayUnreachable", "it does not answer", 502, true);
      },
      refuseCertificate: async ({ thumbprint }: { thumbprint: string }) => void refused.push(thumbprint),
      flipCertificate: async () => void steps.push("flip"),
      finishRotation: async ({ oldStays = false }: { oldStays?: boolean }) => void ends.push(oldStays ? "overlapping" : "over"),
      failRotation: async ({ failure }: { failure: { code: string } }) => void ends.push(failure.code),
    },
  });
  expect(result).toBeUndefined();
  const numbers = [...held.values()].map((store) =>
    [...store].map((thumbprint) => Number(thumbprint[0])).toSorted((one, other) => one - other),
  );
  return { machines: numbers, steps, out: out.size, mostOut, refused, ends };
}

test("one machine at a time is out of the balancer; both end with the new one beside the old one", async () => {
  const { machines, steps, out, mostOut, ends } = await rotated(input);
  expect({ machines, out, mostOut, ends }).toEqual({
    machines: [
      [1, 2],
      [1, 2],
    ],
    out: 0,
    mostOut: 1,
    ends: ["overlapping"],
  });
  const known = certificateSteps(spec, {}).map(({ name }) => name);
  expect(known.filter((name) => steps.includes(name))).toEqual(steps);
});

test.each<[string, Fault[], number[][], string[], string]>([
  // What nobody trusts is given to no machine again; the second one never heard of it.
  ["nobody trusts it", ["not trusted"], [[1], [1]], [thumbprintOf(2)], "CertificateNotTrusted"],
  ["the first machine does not answer", ["unreachable"], [[1], [1]], [], "GatewayUnreachable"],
  // The first one shows what was seen to be good.
  ["the second machine does not answer", [undefined, "unreachable"], [[1, 2], [1]], [], "GatewayUnreachable"],
])(
  "%s: it shows the old one again, is behind its balancer again, and nothing is flipped",
  async (_, faults, machines, refused, code) => {
    const seen = await rotated(input, faults);
    expect(seen).toMatchObject({ machines, refused, out: 0, ends: [code] });
    expect(seen.steps).not.toContain("flip");
  },
);

test("an old one that lives longer than the new one goes at once: Windows would show it", async () => {
  const shown = { ...certificate(1, 12), expiresAt: "2028-01-01T00:00:00.000Z" };
  expect(await rotated({ ...input, shown })).toMatchObject({ machines: [[2], [2]], ends: ["over"] });
});

test("a compromised one goes at once, and the end of the overlap only takes it away", async () => {
  expect(await rotated({ ...input, emergency: true })).toMatchObject({ machines: [[2], [2]], ends: ["over"] });
  const { machines, steps, ends } = await rotated({ ...input, shown: certificate(2, 6), finish: true });
  expect({ machines, ends }).toEqual({ machines: [[2], [2]], ends: ["over"] });
  expect(steps).not.toContain("newCertificate");
});

test("taken back, the machines show the old one only", async () => {
  const back = { ...certificate(1, 3), earlier: [thumbprintOf(2)] };
  const { machines, steps, ends } = await rotated({ ...input, shown: certificate(2, 6), emergency: true, back });
  expect({ machines, ends }).toEqual({ machines: [[1], [1]], ends: ["over"] });
  expect(steps).not.toContain("newCertificate");
});

test("late workers change no row and no fact that another rotation holds", async () => {
  const stores = testStores();
  const key = { partnerId: unique("partner"), tenantId: unique("contoso"), name: "smtpCertificate" as const };
  const { partnerId } = key;
  const ground = { ...input.ground, certificate: certificate(2, 6) };
  await stores.tenants.add(partnerId, key.tenantId, spec);
  await stores.tenants.change(partnerId, key.tenantId, () => ({ facts: { ground } }));
  await stores.credentials.add({ ...key, vaultUrl, objectId: "", clientId: "" });
  for (const id of ["first", "next"])
    await stores.operations.create({
      partnerId,
      tenantId: key.tenantId,
      id,
      kind: "renewal",
      requestHash: id,
      steps: certificateSteps(spec, {}),
    });
  const activities = createCertificateRotationActivities({ stores, clock: systemClock } as RotationWorld);
  const flip = (operationId: string, generation: number, from: number, to: number) =>
    activities.flipCertificate({
      work: { partnerId, tenantId: key.tenantId, operationId },
      key,
      generation,
      made: { reference: certificate(to, 6).secret, keyId: thumbprintOf(to) },
      next: certificate(to, 6),
      shown: certificate(from, 3),
      keptForSeconds: 60,
    });
  const state = async () => {
    const { facts } = await stores.tenants.get(partnerId, key.tenantId);
    const known = await stores.credentials.find(key);
    return [(facts["ground"] as typeof ground).certificate.thumbprint[0], known?.generation, known?.current?.keyId[0]];
  };
  await stores.credentials.change(key, () => ({ generation: 2, rotation: { operationId: "next", generation: 3 } }));
  for (const generation of [1, 2, 3]) {
    await flip("first", generation, 1, 2);
    expect(await state()).toEqual(["2", 2, undefined]);
  }
  await flip("next", 3, 2, 3);
  await flip("next", 3, 2, 3);
  expect(await state()).toEqual(["3", 3, "3"]);
});
