/**
 * The change of the certificate's name on two machines, through the real orchestration: what the clouds and the tenant's facts say after each
 * activity, and whether each machine's name is one that Exchange Online accepts then.
 */
import { type CertificateRotation, rotateCertificate } from "../../functions/rotation/certificate.ts";
import { namesOf } from "../../shared/azure/names.ts";
import type { GatewayCertificate, OtherCertificate } from "../../shared/desired/certificate.ts";
import { waitForOperation } from "../../shared/durable/resources.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { proveLoop } from "../../shared/proof/loop.ts";
import { customer } from "./onboarding.ts";
import { play } from "./play.ts";

export const [FIRST, SECOND] = ["gateway.contoso.example", "mail.contoso.example"] as const;
const vaultUrl = "https://contoso-kv.vault.azure.net";
const thumbprintOf = (name: string): string => (name === FIRST ? "1" : "2").repeat(40);
export const certificate = (name: string): GatewayCertificate => ({
  name,
  thumbprint: thumbprintOf(name),
  secret: { vaultUrl, name: "smtp-certificate", version: name === FIRST ? "v1" : "v2" },
  earlier: name === FIRST ? [] : [thumbprintOf(FIRST)],
  expiresAt: "2027-06-01T00:00:00.000Z",
  trusted: true,
  forClients: true,
});

export const { tenantId, spec } = customer("contoso", "contoso", {
  regions: [{ name: "westeurope", machines: 2 }],
  certificate: { name: FIRST },
});
const names = namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions });
const address = (number: number) => ({ id: `ip${number}`, ipAddress: `203.0.113.${number}`, fqdn: `gw${number}.example` });
export const renaming: CertificateRotation = {
  work: { partnerId: "northwind", tenantId, operationId: "operation-1" },
  key: { partnerId: "northwind", tenantId, name: "smtpCertificate" },
  generation: 2,
  spec,
  names,
  ground: {
    regions: [{ loadBalancer: address(9), machines: [address(1), address(11)] }],
    loopGuid: { vaultUrl, name: "loop-guid", version: "1" },
    identityClientId: "c0ffee00-0000-4000-8000-0000000000f1",
    certificate: certificate(FIRST),
  },
  shown: certificate(FIRST),
  wanted: {
    owner: { partnerId: "northwind", tenantId },
    entraTenantId: spec.azure.tenantId,
    vaultUrl,
    certificate: "smtp-certificate",
    name: SECOND,
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
  renaming: { settleInSeconds: 1800 },
};

interface Ensure {
  kind: string;
  step: string;
  desired: {
    virtualMachine: string;
    certificateName: string;
    enabled?: boolean;
    certificate?: { name?: string };
    document: { smtp: { fqdn: string } };
  };
}

/** What the clouds and the tenant's facts say, from one try to the next. */
export function startState() {
  const machines = (names.regions[0]?.machines ?? []).map(({ virtualMachine }) => virtualMachine);
  return {
    inbound: new Map<string, boolean>([[FIRST, true]]),
    outbound: FIRST as string,
    shown: new Map<string, string>(machines.map((machine) => [machine, FIRST])),
    other: undefined as OtherCertificate | undefined,
    inUse: FIRST as string,
    ends: [] as string[],
    called: [] as string[],
    steps: [] as string[],
    wrong: [] as string[],
  };
}
type State = ReturnType<typeof startState>;

interface Fault {
  /** The activity that fails for good, counted over all. */
  at: number;
  when: "before" | "after";
}

/** `lostAt`: mail that is sent through that machine while it shows the new name doesn't come back. */
export async function played(state: State, rotation: CertificateRotation, fault?: Fault, lostAt?: number): Promise<void> {
  let probes = 0;
  const accepted = (): void => {
    for (const [machine, name] of state.shown)
      if (state.inbound.get(name) !== true || (state.outbound !== "any" && state.outbound !== name))
        state.wrong.push(`${machine} shows ${name} after ${state.called.at(-1)}`);
  };
  const noticing =
    <Input, Result>(name: string, act: (input: Input) => Result | Promise<Result>) =>
    async (input: Input): Promise<Result> => {
      state.called.push(name);
      const fails = fault?.at === state.called.length;
      if (fails && fault?.when === "before") throw new ControlPlaneError("Broken", name, 409);
      const result = await act(input);
      accepted();
      if (fails) throw new ControlPlaneError("Broken", name, 409);
      return result;
    };
  const activities: Record<string, (input: never) => unknown> = {
    claimRotation: () => ({ claimed: true, ...(state.inUse === rotation.wanted.name && { flipped: { keyId: "" } }) }),
    readMailRoute: () => ({ smartHost: "contoso.mail.example", relayFrom: [] }),
    ensureResource: ({ kind, step, desired }: Ensure) => {
      state.steps.push(step);
      if (kind === "tlsCertificate") return { actual: { ...certificate(SECOND), pending: false } };
      if (kind === "inboundConnector") state.inbound.set(desired.certificateName, desired.enabled !== false);
      if (kind === "outboundConnector") state.outbound = desired.certificate?.name ?? "any";
      if (kind === "guest") state.shown.set(desired.virtualMachine, desired.document.smtp.fqdn);
      return { actual: {} };
    },
    confirmResource: () => ({ actual: {} }),
    removeResource: ({ desired }: Ensure) => (state.inbound.delete(desired.certificateName), { state: "done" }),
    dropResource: ({ step, desired }: Ensure) => {
      state.steps.push(step);
      state.inbound.delete(desired.certificateName);
      return { state: "done" };
    },
    acceptCertificate: ({ other }: { other: OtherCertificate }) => void (state.other = other),
    forgetOtherCertificate: () => void (state.other = undefined),
    beginSettling: ({ step }: { step: string }) => void state.steps.push(step),
    endSettling: () => undefined,
    checkCertificateShown: () => undefined,
    sendProbe: () => undefined,
    checkProbe: () => {
      // Its balancer gives mail to one machine after another.
      const machine = probes++ % 2;
      if (machine === lostAt && [...state.shown.values()][machine] === SECOND) return { found: "absent" };
      const hops = [`from mail.contoso.example (${address(machine === 0 ? 1 : 11).ipAddress}) by AM0PR01MB0001`];
      return { found: "looped", evidence: { subject: "", hops, at: "" } };
    },
    failProbe: () => ({ code: "LoopUnproven", message: "no mail came back", transient: false }),
    flipCertificate: ({ next, renamed }: { next: GatewayCertificate; renamed?: OtherCertificate }) => {
      state.inUse = next.name;
      state.other = renamed;
    },
    finishRotation: ({ oldStays = false }: { oldStays?: boolean }) => void state.ends.push(oldStays ? "overlapping" : "over"),
  };
  const watched = Object.fromEntries(Object.entries(activities).map(([name, act]) => [name, noticing(name, act)]));
  await play({
    start: rotateCertificate,
    orchestrators: [rotateCertificate, proveLoop, waitForOperation],
    input: rotation,
    activities: {
      ...watched,
      failRotation: ({ failure }: { failure: { code: string } }) => void state.ends.push(failure.code),
    },
  });
}

export const known = ({ inbound, outbound, shown, inUse, other }: State) => ({
  inbound: Object.fromEntries(inbound),
  outbound,
  shown: [...shown.values()],
  inUse,
  other: other?.state,
});
export const renamed = {
  inbound: { [FIRST]: false, [SECOND]: true },
  outbound: SECOND,
  shown: [SECOND, SECOND],
  inUse: SECOND,
  other: "kept",
};
export const untouched = { inbound: { [FIRST]: true }, outbound: FIRST, shown: [FIRST, FIRST], inUse: FIRST, other: undefined };

export interface Failed {
  what: string;
  outcome: "flipped" | "as before" | "halfway";
  wrong: string[];
  /** After another try. */
  end: ReturnType<typeof known>;
}

/** Fails there once, and is tried again. */
export async function failedAt(fault: Fault): Promise<Failed> {
  const state = startState();
  await played(state, renaming, fault);
  const what = `${fault.when} ${state.called[fault.at - 1]} (${fault.at})`;
  const before = JSON.stringify(known(state)) === JSON.stringify(untouched);
  const flipped = state.inUse === SECOND;
  const again = flipped ? { ...renaming, renaming: { settleInSeconds: 1800, flipped: certificate(SECOND) } } : renaming;
  await played(state, again);
  return { what, outcome: flipped ? "flipped" : before ? "as before" : "halfway", wrong: state.wrong, end: known(state) };
}

/** How many activities it has when nothing fails. */
export async function countActivities(): Promise<number> {
  const state = startState();
  await played(state, renaming);
  return state.called.length;
}
