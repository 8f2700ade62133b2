/** The whole app with one step at the wrong place, an invariant each: the checker sees it in what the clouds recorded. */
import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { createWorld, type World } from "../../functions/world.ts";
import { readConfig } from "../../shared/config.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { CredentialKey } from "../../shared/stores/credentials.ts";
import { violations } from "../support/invariants.ts";
import { type Answer, type Hand, withHands } from "../support/mutants.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
/** Clients of the same clouds, for what a wrong hand does. */
let world: World;
beforeAll(async () => {
  platform = await startOnboarding({ appDirectory: "test/support/mutant-app" });
  world = createWorld(readConfig());
});
afterAll(() => platform.stopUnchecked());

/** Invariants that the record of a customer violates since then. */
async function violated({ watched }: Customer, since: number): Promise<number[]> {
  const found = violations(await platform.record(), watched).filter(({ seq }) => seq > since);
  return [...new Set(found.map(({ invariant }) => invariant))];
}

const done: Answer = { value: { state: "done" } };

interface Ensure {
  kind: string;
  step: string;
  desired: Record<string, unknown> & { organization: string; scope?: { mailboxes: string[] } };
}
const insteadOf =
  (step: string, act: (run: (input?: unknown) => Promise<Answer>, input: Ensure) => Promise<Answer>): Hand =>
  (run, input: Ensure) =>
    input.step === step ? act(run, input) : run();

describe("an onboarding", () => {
  test.each<[number, string, (who: Customer) => Record<string, Hand>]>([
    [
      1,
      "has the pilot in its rule before the proof",
      ({ spec }) => ({
        ensureResource: insteadOf("forwardingRule", (run, input) => {
          const mailboxes = [spec.microsoft365.probeMailbox, ...spec.pilot.addresses];
          return run({ ...input, desired: { ...input.desired, scope: { mailboxes } } });
        }),
      }),
    ],
    [
      2,
      "makes the loop GUID once more",
      () => ({
        ensureSecret: async (run, input: { purpose: string; vaultUrl: string; entraTenantId: string }) => {
          const made = await run();
          const { purpose, vaultUrl, entraTenantId } = input;
          if (purpose === "loopGuid")
            await world.vaults.write({ vaultUrl, name: "loop-guid", value: randomUUID(), entraTenantId, tags: {} });
          return made;
        },
      }),
    ],
    [
      3,
      "scopes the outbound connector after its birth",
      () => ({
        ensureResource: insteadOf("outboundConnector", async (run, { desired: { organization, smartHosts } }) => {
          await world.exchange.run(organization, "New-OutboundConnector", {
            Name: "M365 to Azure VM",
            ConnectorType: "OnPremises",
            UseMXRecord: false,
            SmartHosts: smartHosts as string[],
            IsTransportRuleScoped: false,
            TlsSettings: "EncryptionOnly",
          });
          return run();
        }),
      }),
    ],
    [
      4,
      "makes the network interface before it has a guard",
      () => ({
        ensureResource: insteadOf("networkInterface", async (run, input) => {
          const { resourceGroup, name, region, subnetId } = input.desired as unknown as DesiredOf<Resources["networkInterface"]>;
          const ipConfigurations = [{ name: "primary", subnet: { id: subnetId } }];
          await world.azure.read(input.desired as never, async (clients) => {
            const { networkInterfaces } = await clients.network();
            await networkInterfaces.beginCreateOrUpdate(resourceGroup, name, { location: region, ipConfigurations });
          });
          return run();
        }),
      }),
    ],
    [
      7,
      "writes to Exchange Online before it has looked whose domains they are",
      ({ watched: { organization } }) => ({
        checkAccess: async (run) => {
          const Add = ["203.0.113.250"];
          const early = { Identity: "Default", IPAllowList: { Add } };
          // The consent has just been given, and reaches Exchange Online a little later.
          const written = () => world.exchange.run(organization, "Set-HostedConnectionFilterPolicy", early).then(() => true);
          await vi.waitUntil(() => written().catch(() => false), { timeout: 20_000, interval: 200 });
          return run();
        },
      }),
    ],
    [
      8,
      "sends a probe mail again that has come back",
      ({ watched: { organization, probeMailbox } }) => ({
        checkProbe: async (run, { subject }: { subject: string }) => {
          const answer = await run();
          const { found } = (answer.value ?? {}) as { found?: string };
          const again = { subject, to: probeMailbox, nonce: "once more" };
          if (found !== "looped") return answer;
          // Whoever sends it a second time has forgotten the first.
          await world.stores.sentMails.giveBack({ organization, mailbox: probeMailbox, subject });
          await world.probes.sendProbe(organization, probeMailbox, again);
          return answer;
        },
      }),
    ],
  ])("that violates invariant %i: it %s", async (invariant, _, handsOf) => {
    const who = customer("contoso", `mutant${invariant}`);
    const since = await platform.now();
    await platform.organize(who);
    await platform.clouds.consent(who.watched.organization);
    await platform.register(who);
    await withHands(handsOf(who), async () => platform.untilEnded(await platform.start(who)));
    expect(await violated(who, since)).toContain(invariant);
  });
});

describe("day two", () => {
  const who = customer("contoso");
  const { tenantId } = who;
  const { organization } = who.watched;

  test("nothing is violated by the onboarding, which no hand touched", async () => {
    const since = await platform.now();
    expect(await platform.onboard(who)).toMatchObject({ status: "Succeeded" });
    await rotated(2);
    expect(await violated(who, since)).toEqual([]);
  });

  test("that violates invariant 9: a rotation revokes the old secret before the machine has the new one", async () => {
    const since = await platform.now();
    const revokingFirst: Hand = async (run, input: { step: string; key: CredentialKey; version: { keyId: string } }) => {
      const tested = await run();
      if (input.step !== "testSecret") return tested;
      const { objectId } = (await world.stores.credentials.find(input.key)) ?? { objectId: "" };
      for (const { keyId } of await world.passwords.list(organization, objectId))
        if (keyId !== input.version.keyId) await world.passwords.remove(organization, objectId, keyId);
      return tested;
    };
    await withHands({ testClientSecret: revokingFirst }, () => rotated(3));
    expect(await violated(who, since)).toEqual([9]);
  });

  test("that violates invariant 5: a promotion does not look at blocklists", async () => {
    const { publicIpAddress } = await platform.estate(who);
    const list = [{ address: publicIpAddress?.address ?? "", reason: "a spam trap" }];
    await fetch(`${platform.clouds.control}/blocklists`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ zone: "psbl.surriel.com", list }),
    });
    const before = await platform.now();
    await platform.fire("pollBlocklists");
    await vi.waitUntil(async () => (await platform.record(before)).some(({ url }) => url.includes("psbl.surriel.com")), {
      timeout: 60_000,
      interval: 100,
    });
    const notLooking: Hand = async () => ({ value: undefined });
    const promoted = await withHands({ checkReady: notLooking }, async () =>
      platform.untilEnded((await platform.northwind.startPromotion({ tenantId })).body),
    );
    expect(promoted.error).toBeUndefined();
    expect(await violated(who, before)).toContain(5);
  });

  test("that violates invariant 6: an offboarding removes the approval rule before the rules that forward", async () => {
    const since = await platform.now();
    const held: (() => Promise<Answer>)[] = [];
    const lateRules: Hand = async (run, { step }: { step: string }) => {
      if (/forwardingRule$/iu.test(step)) {
        held.push(run);
        return done;
      }
      const answer = await run();
      for (const late of step === "approvalRule" ? held.splice(0) : []) await late();
      return answer;
    };
    const around: Hand = async () => ({ value: { found: "around" } });
    const skipped: Hand = async () => ({ value: undefined });
    await withHands({ dropResource: lateRules, sendBypassProbe: skipped, checkBypassProbe: around }, async () =>
      platform.untilEnded(
        (await platform.northwind.startOffboarding({ tenantId, body: { confirm: tenantId, abandonQueues: true } })).body,
      ),
    );
    expect(await violated(who, since)).toContain(6);
  });

  async function rotated(generation: number): Promise<void> {
    if (generation === 2) await platform.fire("sweepCredentials");
    else await platform.northwind.rotateCredential({ tenantId, name: "clientSecret" });
    await vi.waitUntil(
      async () => {
        const [credential] = (await platform.northwind.listCredentials({ tenantId })).body.value;
        return credential?.generation === generation && !credential.operationId;
      },
      { timeout: 100_000, interval: 100 },
    );
  }
});
