/** The order and the patience of an onboarding, played in virtual time with production's durations: weeks pass in no time. */
import { expect, test } from "vitest";
import { createVirtualClock } from "../../infra/local/functions-host/clock.ts";
import { proveLoop } from "../../shared/proof/loop.ts";
import { chapters, CONSENT_ANSWERED, onboardTenant, waitForAccess } from "../../functions/onboarding/orchestrator.ts";
import type { Onboarding } from "../../functions/onboarding/orchestrator.ts";
import { namesOf } from "../../shared/azure/names.ts";
import { FIRST_GENERATION } from "../../shared/desired/state.ts";
import { waitForOperation } from "../../shared/durable/resources.ts";
import { failureFrom } from "../../shared/durable/steps.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { type Played, type PlayedEvent, play } from "../support/play.ts";
import { customer } from "../support/onboarding.ts";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** As in local.settings.sample.json, but for consent, which is looked for twelve times less often: each look is a run of its own. */
const pace = {
  patience: { tries: 12, firstWaitInSeconds: 5, longestWaitInSeconds: 2 * MINUTE },
  operationDeadlineInSeconds: HOUR,
  consentCheckIntervalInSeconds: HOUR,
  consentExpiryInSeconds: 14 * DAY,
  probeIntervalInSeconds: 30,
  probeDeadlineInSeconds: 90 * MINUTE,
};

const { tenantId, spec } = customer("contoso");
const tenant: Onboarding = {
  work: { partnerId: "northwind", tenantId, operationId: "operation-1" },
  spec,
  names: namesOf({ partnerId: "northwind", tenantId, regions: spec.gateway.regions }),
  piloted: false,
  pace,
};

/** What each resource is once it is there, as far as others need it. */
const actual: Record<string, object> = {
  vault: { id: "/vaults/contoso", url: "https://contoso.vault.example" },
  vmIdentity: { id: "/identities/gateway", principalId: "principal", clientId: "client" },
  publicIpAddress: { id: "/addresses/1", ipAddress: "203.0.113.10", fqdn: "contoso.westeurope.cloudapp.azure.example" },
  virtualNetwork: { id: "/networks/1", subnetId: "/networks/1/subnets/gateways" },
};

interface Ensure {
  kind: string;
  step: string;
  desired: { scope?: { mailboxes: string[] } };
}
type Activities = Record<string, (input: never) => unknown>;

interface Story extends Played {
  elapsed: number;
  /** How the operation ended. */
  ended: { status: "Succeeded" } | { status: "Failed"; code: string; message: string };
  /** Steps in the order in which their resources were ensured. */
  steps: string[];
  /** Scopes that the forwarding rule was given, in order. */
  scopes: string[][];
  probes: string[];
}

/** Everything goes well and at once, unless the story says otherwise. `now` is virtual, in seconds since the start. */
async function onboard(
  story: (now: () => number) => Activities = () => ({}),
  options: { events?: PlayedEvent[]; tenant?: Onboarding } = {},
): Promise<Story> {
  const clock = createVirtualClock();
  const began = clock.now();
  const now = (): number => (clock.now() - began) / 1000;
  let ended: Story["ended"] | undefined;
  const [steps, scopes, probes]: [string[], string[][], string[]] = [[], [], []];
  const told = story(now);
  const secret = { vaultUrl: "https://contoso.vault.example", name: "secret", version: "1" };
  const activities: Activities = {
    beginOnboarding: () => undefined,
    checkAccess: () => ({ state: "granted" }),
    failAccess: () => undefined,
    checkPreflight: () => ({ newAddresses: [] }),
    choosePlacement: () => ({ availabilitySet: false, machines: [[{ size: "Standard_D4as_v5", zone: "1" }]], missing: [0] }),
    readOwnPrincipal: () => ({ principalId: "ours" }),
    ensureSecret: () => secret,
    readMailRoute: () => ({ smartHost: "contoso-example.mail.protection.outlook.example", relayFrom: [] }),
    readGuestGeneration: () => FIRST_GENERATION,
    confirmResource: ({ kind }: Ensure) => actual[kind] ?? { id: kind },
    checkStartTls: () => undefined,
    checkProof: () => ({}),
    checkProbe: ({ subject }: { subject: string }) => ({ found: "looped", evidence: { subject, hops: [], at: "" } }),
    failProbe: () => failureFrom(new ControlPlaneError("LoopUnproven", "no probe mail came back", 504)),
    keepForDayTwo: () => undefined,
    recordFailure: () => undefined,
    ...told,
    ensureResource: (input: Ensure) => {
      if (steps.at(-1) !== input.step) steps.push(input.step);
      if (input.kind === "forwardingRule") scopes.push(input.desired.scope?.mailboxes ?? []);
      return told["ensureResource"]?.(input as never) ?? ensured(input);
    },
    sendProbe: (input: { subject: string }) => {
      probes.push(input.subject);
      return told["sendProbe"]?.(input as never);
    },
    finishOnboarding: () => {
      ended = { status: "Succeeded" };
    },
    failOnboarding: ({ failure }: { failure: { code: string; message: string } }) => {
      ended = { status: "Failed", code: failure.code, message: failure.message };
    },
  };
  const orchestrators = [...Object.values(chapters), waitForAccess, proveLoop, waitForOperation];
  const { events = [], tenant: input = tenant } = options;
  const played = await play({ start: onboardTenant, input, orchestrators, activities, clock, events });
  if (!ended) throw new Error(`the onboarding told nobody how it ended: ${played.error}`);
  return { ...played, elapsed: played.elapsedInMilliseconds / 1000, ended, steps, scopes, probes };
}

const ensured = ({ kind }: Ensure) => ({ change: "created", actual: actual[kind] ?? { id: kind } });
const pending = () => ({
  state: "pending",
  expired: failureFrom(new ControlPlaneError("ConsentRequired", "nobody answered in time", 403)),
});
const onlyProbe = [["gatehouse-probe@contoso.example"]];
const widened = [...onlyProbe, ["gatehouse-probe@contoso.example", "pilot@contoso.example"]];

test("production mail moves last: STARTTLS, then the probe mail, then the pilot, then one more probe mail", async () => {
  const { ended, calls, scopes } = await onboard();
  expect(ended).toEqual({ status: "Succeeded" });
  expect(scopes).toEqual(widened);
  const proof = calls.slice(calls.indexOf("confirmResource inboundConnector"));
  expect(proof).toEqual([
    "confirmResource inboundConnector",
    "confirmResource approvalRule",
    "checkStartTls",
    "sendProbe",
    "checkProbe",
    "ensureResource forwardingRule",
    "sendProbe",
    "checkProbe",
    "keepForDayTwo",
    "finishOnboarding",
  ]);
});

test("consent that nobody gives is waited for two weeks, then the operation fails, and nothing was touched", async () => {
  const { ended, elapsed, calls } = await onboard(() => ({ checkAccess: pending }));
  expect(ended).toMatchObject({ status: "Failed", code: "ConsentRequired" });
  expect(elapsed).toBeGreaterThan(14 * DAY);
  expect(elapsed).toBeLessThanOrEqual(14 * DAY + HOUR);
  expect(new Set(calls)).toEqual(new Set(["beginOnboarding", "checkAccess", "failAccess", "failOnboarding"]));
});

test("consent that is given after three days is seen at once when the callback says so, else at the next look", async () => {
  const given = 3 * DAY + 100;
  const story = (now: () => number) => ({ checkAccess: () => (now() >= given ? { state: "granted" } : pending()) });
  const instanceId = "played-consent";
  const told = await onboard(story, { events: [{ afterInMilliseconds: given * 1000, name: CONSENT_ANSWERED, instanceId }] });
  const untold = await onboard(story);
  expect(told.ended).toEqual({ status: "Succeeded" });
  // Two probe mails are looked for after half a minute each.
  expect(told.elapsed).toBe(given + MINUTE);
  expect(untold.elapsed).toBe(3 * DAY + HOUR + MINUTE);
});

test("a refused consent ends it at once", async () => {
  const failure = failureFrom(new ControlPlaneError("DomainNotVerified", "contoso.example is not verified", 409));
  const { ended, elapsed } = await onboard(() => ({ checkAccess: () => ({ state: "refused", failure }) }));
  expect({ ended, elapsed }).toMatchObject({ ended: { code: "DomainNotVerified" }, elapsed: 0 });
});

test("work that the cloud itself reports as failed fails its step with the cloud's code, and mail stays where it was", async () => {
  const failures: unknown[] = [];
  const { ended, scopes, probes } = await onboard(() => ({
    ensureResource: ({ kind }: Ensure) =>
      kind === "gatewayVm"
        ? {
            change: "created",
            begun: { state: "begun", operationUrl: "https://arm.example/operations/1", retryAfterInSeconds: 10 },
          }
        : undefined,
    pollOperation: () => ({ status: "failed", error: { code: "SkuNotAvailable", message: "not in this region" } }),
    recordFailure: ({ step, failure }: { step: string; failure: { code: string } }) => void failures.push([step, failure.code]),
  }));
  expect(failures).toEqual([["gatewayVm", "SkuNotAvailable"]]);
  expect(ended).toMatchObject({ status: "Failed", code: "SkuNotAvailable", message: expect.stringContaining("gatewayVm") });
  expect({ scopes, probes }).toEqual({ scopes: onlyProbe, probes: [] });
});

test("a VM that takes eight minutes is asked about as often as Azure says, while the other branches go on", async () => {
  let polls = 0;
  const done: [string, number][] = [];
  const { ended, elapsed } = await onboard((now) => ({
    ensureResource: ({ kind, step }: Ensure) => {
      if (kind === "gatewayVm" && now() < 8 * MINUTE)
        return {
          change: "created",
          begun: { state: "begun", operationUrl: "https://arm.example/operations/1", retryAfterInSeconds: 10 },
        };
      done.push([step, now()]);
      return undefined;
    },
    pollOperation: () => {
      polls += 1;
      return now() < 8 * MINUTE ? { status: "running", retryAfterInSeconds: 10 } : { status: "succeeded" };
    },
  }));
  expect(ended).toEqual({ status: "Succeeded" });
  expect(polls).toBe(48);
  expect(done.find(([step]) => step === "gatewayVm")?.[1]).toBe(8 * MINUTE);
  expect(done.find(([step]) => step === "forwardingRule")?.[1]).toBe(0);
  expect(elapsed).toBe(8 * MINUTE + MINUTE);
});

test("work that the cloud never ends is given up after its deadline", async () => {
  const { ended, elapsed } = await onboard(() => ({
    ensureResource: ({ kind }: Ensure) =>
      kind === "publicIpAddress"
        ? {
            change: "created",
            begun: { state: "begun", operationUrl: "https://arm.example/operations/1", retryAfterInSeconds: 10 },
          }
        : undefined,
    pollOperation: () => ({ status: "running", retryAfterInSeconds: 10 }),
  }));
  expect(ended).toMatchObject({ status: "Failed", code: "OperationTimedOut" });
  expect(elapsed).toBe(HOUR + 10);
});

test("a probe mail that never comes back: the rule is never widened, and few mails were spent on it", async () => {
  const { ended, elapsed, scopes, probes } = await onboard(() => ({ checkProbe: () => ({ found: "absent" }) }));
  expect(ended).toMatchObject({ status: "Failed", code: "LoopUnproven" });
  expect(scopes).toEqual(onlyProbe);
  expect(elapsed).toBe(90 * MINUTE + 30);
  expect(probes).toHaveLength(6);
});

test("a probe mail that no longer comes back once the rule is widened fails it too", async () => {
  const { ended } = await onboard(() => ({
    checkProbe: ({ step, subject }: { step: string; subject: string }) =>
      step === "probeMail" ? { found: "looped", evidence: { subject, hops: [], at: "" } } : { found: "absent" },
  }));
  expect(ended).toMatchObject({ status: "Failed", code: "LoopUnproven" });
});

test("a loop that takes ten minutes is proven: each mail is given more time than the one before", async () => {
  const sent = new Map<string, number>();
  const { ended, scopes, probes } = await onboard((now) => ({
    sendProbe: ({ subject }: { subject: string }) => void sent.set(subject, now()),
    checkProbe: ({ subject }: { subject: string }) =>
      now() >= (sent.get(subject) ?? 0) + 10 * MINUTE
        ? { found: "looped", evidence: { subject, hops: [], at: "" } }
        : { found: "absent" },
  }));
  expect(ended).toEqual({ status: "Succeeded" });
  expect(scopes).toEqual(widened);
  expect(probes.length).toBeLessThanOrEqual(8);
});

test("while rules propagate for 25 minutes, mails go round the gateway: each is followed by another, until one comes through", async () => {
  const { ended, elapsed, scopes } = await onboard((now) => ({
    checkProbe: ({ subject }: { subject: string }) =>
      now() >= 25 * MINUTE ? { found: "looped", evidence: { subject, hops: [], at: "" } } : { found: "bypassed" },
  }));
  expect(ended).toEqual({ status: "Succeeded" });
  expect(scopes).toEqual(widened);
  expect(elapsed).toBe(25 * MINUTE + 30);
});

test("what may pass is tried again: after what the cloud asks to wait, else after waits that double", async () => {
  const at: number[] = [];
  const busy = (retryAfterInSeconds?: number) =>
    new ControlPlaneError("AzureBusy", "writing the vault", 429, true, { retryAfterInSeconds });
  const { ended } = await onboard((now) => ({
    ensureResource: ({ kind }: Ensure) => {
      if (kind !== "vault") return undefined;
      at.push(now());
      if (at.length === 1) throw busy(90);
      if (at.length <= 4) throw busy();
      return undefined;
    },
  }));
  expect(ended).toEqual({ status: "Succeeded" });
  // 90 as asked, then the second, third and fourth wait of 5, 10, 20, 40 …
  expect(at).toEqual([0, 90, 100, 120, 160]);
});

test("a step that we ourselves let wait before anything was sent has not been tried, however often it waits", async () => {
  let count = 0;
  const { ended, elapsed } = await onboard(() => ({
    ensureResource: ({ kind }: Ensure) => {
      if (kind !== "vault") return undefined;
      count += 1;
      const options = { retryAfterInSeconds: 7, untried: true };
      if (count <= 40) throw new ControlPlaneError("AzureQuotaUsed", "the reads are used up", 503, true, options);
      return undefined;
    },
  }));
  expect({ count, ended }).toEqual({ count: 41, ended: { status: "Succeeded" } });
  expect(elapsed).toBeGreaterThanOrEqual(40 * 7);
});

test("what is busy for good is given up after twelve tries, and what can't be mended at once", async () => {
  const tries = async (transient: boolean): Promise<[number, Story["ended"]]> => {
    let count = 0;
    const { ended } = await onboard(() => ({
      readOwnPrincipal: () => {
        count += 1;
        throw new ControlPlaneError("AzureUnhappy", "reading our principal", 503, transient);
      },
    }));
    return [count, ended];
  };
  expect(await tries(true)).toEqual([12, expect.objectContaining({ code: "AzureUnhappy" })]);
  expect(await tries(false)).toEqual([1, expect.objectContaining({ code: "AzureUnhappy" })]);
});

test("one branch's failure lets the others end, and then ends the onboarding", async () => {
  const { ended, steps, scopes } = await onboard(() => ({
    ensureResource: ({ kind }: Ensure) => {
      if (kind === "webClientApplication") throw new ControlPlaneError("GraphRefused", "making the application", 502);
      return undefined;
    },
  }));
  expect(ended).toMatchObject({ status: "Failed", code: "GraphRefused" });
  expect(steps).toEqual(expect.arrayContaining(["guest", "forwardingRule"]));
  expect(scopes).toEqual(onlyProbe);
});

test("a tenant in the pilot is onboarded again without narrowing its rule, and without new mails while its proof stands", async () => {
  const { ended, scopes, probes } = await onboard(
    () => ({ checkProof: () => ({ evidence: { subject: "earlier", hops: [], at: "" } }) }),
    { tenant: { ...tenant, piloted: true } },
  );
  expect({ ended, scopes, probes }).toEqual({ ended: { status: "Succeeded" }, scopes: [widened[1]], probes: [] });
});
