/** Canary mails over the wire: sent and read by Graph, through our rules and a gateway, to a mailbox outside and from there. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type CanaryLook, createCanaryActivities, judged, type Sighting } from "../../functions/onboarding/canary.ts";
import { proveCanary } from "../../functions/onboarding/prove-canary.ts";
import type { OnboardingWorld } from "../../functions/onboarding/world.ts";
import { createDirectory } from "../../infra/local/clouds/entra/directory.ts";
import { firstPartyApplications, microsoftGraph } from "../../infra/local/clouds/entra/first-party.ts";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { systemClock } from "../../shared/clock.ts";
import type { Loop } from "../../shared/desired/state.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { createProbeMails } from "../../shared/graph/mail.ts";
import { createMessageTraces } from "../../shared/graph/message-traces.ts";
import { absent, present, unknown } from "../../shared/resources/resource.ts";
import {
  ensure,
  forwarded,
  FQDN,
  GATEWAY,
  GUID,
  HEADER,
  loopGuid,
  type MailWorld,
  organization,
  owner,
  pilot,
  startMailWorld,
  target,
  vaults,
} from "../support/mail-world.ts";
import { play } from "../support/play.ts";
import { testStores } from "../support/stores.ts";

const outside = { organization: "c0ffee00-0000-4000-8000-00000000000f", address: "canary@canary.example" };
const loop: Loop = {
  organization,
  probeMailbox: pilot,
  outboundConnector: "M365 to Azure VM",
  loopHeader: HEADER,
  loopGuid,
  vaultTenantId: organization,
  smartHosts: [FQDN],
  egressIps: [GATEWAY],
  pilots: [pilot],
};

describe("over the wire", () => {
  let world: MailWorld;
  const stores = testStores();
  beforeAll(async () => {
    world = await startMailWorld();
    const { organization: tenantId, address } = outside;
    await world.clouds.organize({ tenantId, domains: ["canary.example"], mailboxes: [address] });
    await world.clouds.consent(tenantId);
  });
  afterAll(() => world.clouds.stop());
  beforeEach(() => world.reset());

  /** What a customer's administrator adds, or takes away. */
  function allowTraces(allowed: boolean): void {
    const directory = createDirectory(world.clouds.platform);
    const graph = firstPartyApplications.find(({ appId }) => appId === microsoftGraph);
    const appRoleId = graph?.appRoles.find(({ value }) => value === "ExchangeMessageTrace.Read.All")?.id ?? "";
    const principal = directory.servicePrincipal(organization, { appId: world.clouds.application.applicationId });
    const resource = directory.servicePrincipal(organization, { appId: microsoftGraph });
    if (allowed)
      directory.ensureAppRoleAssignment(organization, {
        principalId: principal?.id ?? "",
        resourceId: resource?.id ?? "",
        appRoleId,
      });
  }

  async function canary(more: Partial<Loop> = {}, mailbox: typeof outside | "none" = outside): Promise<CanaryLook> {
    const { environment, application } = world.clouds;
    const graph = createGraph({ environment, credentials: createCredentials(environment, application) });
    const onboarding = {
      probes: createProbeMails(graph, stores.sentMails),
      traces: createMessageTraces(graph),
      vaults,
      clock: systemClock,
      canaryMailbox: mailbox === "none" ? undefined : mailbox,
      stores,
    } as unknown as OnboardingWorld;
    const { sendCanary, checkCanary } = createCanaryActivities(onboarding);
    const work = { ...owner, operationId: randomUUID() };
    const steps = [{ name: "canaryMail", title: "Marked mails", branch: "proof" as const }];
    await stores.operations.create({ ...owner, id: work.operationId, kind: "onboarding", requestHash: "", steps });
    const of = { work, loop: { ...loop, ...more }, round: 1 };
    const { sentAt } = await sendCanary(of);
    return vi.waitFor(
      async () => {
        const seen = await checkCanary({ ...of, sentAt });
        if (!seen.ended) throw new Error(JSON.stringify(seen.mails));
        return seen;
      },
      { interval: 50, timeout: 20_000 },
    );
  }
  const verdicts = ({ mails }: CanaryLook) => mails.map(({ direction, verdict }) => `${direction} ${verdict}`);

  test("inside the header is there once, outside never, and what comes in meets the gateway only where the spec says so", async () => {
    await world.allRules();
    const seen = await canary();
    expect(verdicts(seen)).toEqual(["internal pass", "out pass", "in pass"]);
    expect(seen.mails.map(({ throughGateway, loopHeaders }) => [throughGateway, loopHeaders])).toEqual([
      [1, 1],
      [1, 0],
      [0, 0],
    ]);
    expect(seen.mails.map(({ spam }) => spam)).toEqual([
      { level: "-1", verdict: "SKN" },
      { level: "1", verdict: "NSPM" },
      { level: "1", verdict: "NSPM" },
    ]);
    // Nobody granted the permission to trace: that can't be told, and fails nothing.
    expect(seen.mails[0]?.trace).toMatchObject({ verdict: "unknown", message: expect.stringContaining("ConsentRequired") });
  });

  test("with incoming mail forwarded all three meet the gateway; traced out to its address and back from it", async () => {
    allowTraces(true);
    await world.allRules();
    await ensure(world.ours.incoming, forwarded);
    const seen = await canary({ incoming: true });
    expect(verdicts(seen)).toEqual(["internal pass", "out pass", "in pass"]);
    expect(seen.mails.map(({ throughGateway, loopHeaders }) => [throughGateway, loopHeaders])).toEqual([
      [1, 1],
      [1, 0],
      [1, 1],
    ]);
    for (const { trace } of seen.mails)
      expect(trace).toEqual({ verdict: "pass", message: `handed to ${GATEWAY}, and back from there: delivered` });
  });

  test("a header that leaves is seen outside", async () => {
    await world.allRules();
    await world.ours.strip.remove(target);
    const seen = await canary();
    expect(verdicts(seen)).toEqual(["internal pass", "out fail", "in pass"]);
    expect(seen.mails[1]?.message).toBe(
      "the mail to the world met the gateway once and carries the loop header once, not never as it should",
    );
  });

  test("a loop is seen in one mail", async () => {
    await world.allRules();
    await world.byHand.run("Set-TransportRule", { Identity: "Route all Mails to own Azure VM", ExceptIfSenderIpRanges: [] });
    world.guest.registry = {};
    const seen = await canary();
    expect(seen.looped).toBe(true);
    expect(seen.mails[0]).toMatchObject({
      verdict: "fail",
      message: expect.stringContaining("the mail inside the organisation went round"),
    });
  });

  test("without a mailbox outside only the mail inside is sent, and the others can't be told", async () => {
    await world.allRules();
    expect(verdicts(await canary({}, "none"))).toEqual(["internal pass", "out unknown", "in unknown"]);
  });
});

describe("what one mail shows", () => {
  const arrived = (backs: number, marks: string[]): Sighting["arrived"] => {
    const back = `from ${FQDN} (${GATEWAY}) by AM0PR01MB0001.example with Microsoft SMTP Server id 15`;
    const headers = marks.map((value) => ({ name: HEADER.toLowerCase(), value }));
    return { state: "arrived", headers, receivedHops: Array.from({ length: backs }, () => back) };
  };
  const untraced = unknown("ConsentRequired", "a permission is missing", true);
  const seen = (more: Partial<Sighting>) =>
    judged({ direction: "internal", loop, loopGuid: GUID, arrived: absent, returned: absent, traced: untraced, ...more });

  test("a header of somebody else's, or twice ours, is not ours once", () => {
    expect(seen({ arrived: arrived(1, [GUID]) })).toMatchObject({ mail: { verdict: "pass" }, ended: true });
    for (const marks of [[], ["another"], [GUID, GUID]])
      expect(seen({ arrived: arrived(1, marks) })).toMatchObject({ mail: { verdict: "fail" }, looped: false });
    expect(seen({ arrived: arrived(0, []) })).toMatchObject({ mail: { verdict: "fail" }, looped: false });
  });

  test("a mail that came back twice went round, even where it arrived", () => {
    expect(seen({ arrived: arrived(2, [GUID]) })).toMatchObject({ mail: { verdict: "fail" }, looped: true, ended: true });
  });

  test("a mail that hasn't arrived is waited for; one that was returned isn't, and a loop is told from a refusal", () => {
    expect(seen({})).toMatchObject({ ended: false, looped: false });
    const report = (text: string) => present({ text });
    expect(seen({ returned: report("554 5.4.14 Hop count exceeded") })).toMatchObject({ ended: true, looped: true });
    expect(seen({ returned: report("550 5.1.10 not found") })).toMatchObject({ ended: true, looped: false });
    const out = { fromIp: null, toIp: GATEWAY, status: "delivered" };
    expect(seen({ traced: present([out, out]) })).toMatchObject({ ended: true, looped: true });
  });

  test("a trace that is late is waited for, and one that can't be had isn't", () => {
    const both = [
      { fromIp: null, toIp: GATEWAY, status: "delivered" },
      { fromIp: GATEWAY, toIp: null, status: "delivered" },
    ];
    expect(seen({ arrived: arrived(1, [GUID]), traced: present(both.slice(0, 1)) })).toMatchObject({ ended: false });
    expect(seen({ arrived: arrived(1, [GUID]), traced: present(both) })).toMatchObject({
      ended: true,
      mail: { trace: { verdict: "pass" } },
    });
    expect(seen({ arrived: unknown("GraphBusy", "asks to wait") })).toMatchObject({ ended: true, mail: { verdict: "unknown" } });
  });
});

describe("the proof, in virtual time", () => {
  const patience = { tries: 3, firstWaitInSeconds: 5, longestWaitInSeconds: 60 };
  const pace = {
    patience,
    operationDeadlineInSeconds: 3600,
    consentCheckIntervalInSeconds: 300,
    consentExpiryInSeconds: 3600,
    probeIntervalInSeconds: 30,
    probeDeadlineInSeconds: 5400,
  };
  const look = (verdict: "pass" | "fail" | "unknown", more: Partial<CanaryLook> = {}): CanaryLook => ({
    mails: [{ direction: "internal", verdict, message: "the mail inside the organisation" }],
    ended: true,
    looped: false,
    ...more,
  });
  async function prove(looks: (round: number) => CanaryLook) {
    const work = { ...owner, operationId: "played" };
    const judgements: unknown[] = [];
    const rounds: number[] = [];
    const failure = { name: "ControlPlaneError", code: "MailLoops", message: "went round", transient: false, status: 409 };
    const clock = createVirtualClock();
    const played = await play({
      clock,
      start: proveCanary,
      input: { work, pace, loop, round: 1, deadline: clock.now() / 1000 + 5400 },
      activities: {
        sendCanary: ({ round }: { round: number }) => {
          rounds.push(round);
          return { sentAt: 0 };
        },
        checkCanary: ({ round }: { round: number }) => looks(round),
        judgeCanary: ({ mails, looped }: CanaryLook) => {
          judgements.push({ verdicts: mails.map(({ verdict }) => verdict), looped });
          return mails.some(({ verdict }) => verdict === "fail") ? { failure } : {};
        },
      },
    });
    return { ...played, rounds, judgements };
  }

  test("rules that propagate late let the first mails fail, and later ones pass", async () => {
    const { result, rounds, judgements } = await prove((round) => look(round < 3 ? "fail" : "pass"));
    expect({ result, rounds, judgements }).toEqual({
      result: { value: look("pass").mails },
      rounds: [1, 2, 3],
      judgements: [{ verdicts: ["pass"], looped: false }],
    });
  });

  test("a loop ends it with the first mail", async () => {
    const { result, rounds, judgements } = await prove(() => look("fail", { looped: true }));
    expect({ rounds, judgements }).toEqual({ rounds: [1], judgements: [{ verdicts: ["fail"], looped: true }] });
    expect(result).toMatchObject({ failure: { code: "MailLoops" } });
  });

  test("what can't be told fails nothing", async () => {
    expect((await prove(() => look("unknown"))).result).toEqual({ value: look("unknown").mails });
  });
});
