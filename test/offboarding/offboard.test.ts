/** A tenant goes away without losing a mail: the rule first, then proof that nothing needs the gateway, the machines last, and nothing is left. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Post, startHeartbeats } from "../../infra/local/clouds/guest/heartbeat.ts";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { expectWholeLog } from "../support/audit.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding, writes } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
const contoso = customer("contoso");
const fabrikam = customer("fabrikam");
beforeAll(async () => {
  platform = await startOnboarding({ settings: { OFFBOARDING_DRAIN_DEADLINE: "PT4S" } });
  for (const one of [contoso, fabrikam]) expect(await platform.onboard(one)).toMatchObject({ status: "Succeeded" });
});
afterAll(() => platform.stop());

interface Asked {
  confirm?: string;
  abandonQueues?: boolean;
  export?: boolean;
}

const offboard = async ({ tenantId }: Customer, asked: Asked = {}): Promise<Operation> => {
  const { body } = await platform.northwind.startOffboarding({ tenantId, body: { confirm: tenantId, ...asked } });
  return platform.untilEnded(body);
};

/** With machines that report, as they do once a minute or so; `post` sees what they send. */
async function reporting<T>(act: () => Promise<T>, post?: Post): Promise<T> {
  const heartbeats = startHeartbeats(platform.clouds.platform, post);
  try {
    return await act();
  } finally {
    heartbeats.stop();
  }
}

const empty = {
  azure: [],
  exchange: { inboundConnectors: [], outboundConnectors: [], transportRules: [] },
  directory: { applications: 0, servicePrincipals: 0 },
  addresses: { connectionFilter: [] },
};

/** What took effect, in its order: cmdlets by their name, Azure's removals by what they removed. */
const removals = (record: Exchange[]): string[] =>
  record.flatMap(({ cloud, method, url, requestBody, effect }) => {
    if (effect !== "write") return [];
    if (cloud === "arm" && method === "DELETE") return [`DELETE ${new URL(url).pathname.split("/").slice(3, 4).join("")}`];
    const { CmdletInput: input } = (requestBody ?? {}) as { CmdletInput?: { CmdletName: string } };
    return cloud === "exchange" && input ? [input.CmdletName] : [];
  });

describe("contoso", () => {
  let secret: string;

  test("is not taken away by mistake", async () => {
    const { tenantId } = contoso;
    const asked = platform.northwind.startOffboarding({ tenantId, body: { confirm: "fabrikam" } });
    await expect(asked).rejects.toMatchObject({ code: "ConfirmationMissing", message: expect.stringContaining(tenantId) });
    const others = platform.tailspin.startOffboarding({ tenantId, body: { confirm: tenantId } });
    await expect(others).rejects.toMatchObject({ code: "TenantNotFound" });
  });

  test("shows in a plan what would go, in its order, and that a person has to do the rest; looking writes nothing", async () => {
    const { tenantId } = contoso;
    const before = await platform.now();
    const { body: plan } = await platform.northwind.planOnboarding({ tenantId, body: { operation: "offboarding" } });
    expect(writes(await platform.record(before))).toEqual([]);
    expect(plan.resources.map(({ kind, action }) => `${action} ${kind}`)).toEqual([
      "remove forwardingRule",
      "remove approvalRule",
      "remove guardRule",
      "remove stripRule",
      "remove outboundConnector",
      "remove inboundConnector",
      "remove connectionFilter",
      "remove webClientApplication",
      "remove resourceGroup",
    ]);
    expect(plan.resources.at(-1)?.reason).toContain("Microsoft.Compute/virtualMachines/");
    expect(plan.tasks.map(({ kind, waits }) => [kind, waits])).toEqual([
      ["withdrawSpf", false],
      ["removeApplication", false],
    ]);
    const wrong = platform.northwind.startOffboarding({ tenantId, body: { confirm: tenantId, plan: "another" } });
    await expect(wrong).rejects.toMatchObject({ code: "PlanOutdated" });
    expect((await platform.northwind.getTenant({ tenantId })).body.stage).toBe("pilot");
  });

  test("is not touched while what stands can't be read in full", async () => {
    const { tenantId } = contoso;
    const { body: before } = await platform.northwind.getTenant({ tenantId });
    const since = await platform.now();
    await platform.clouds.fault("exchange", "503", { path: "$batch" }, 1000);
    const { body: asked } = await platform.northwind.startOffboarding({ tenantId, body: { confirm: tenantId, export: true } });
    const first = async () => (await platform.northwind.getOperation({ operationId: asked.id })).body.steps[0];
    await expect.poll(async () => (await first())?.tries, { timeout: 60_000 }).toBeGreaterThan(1);
    expect(await first()).toMatchObject({ name: "export", status: "Running" });
    await platform.northwind.cancelOperation({ operationId: asked.id });
    expect(await platform.untilEnded(asked)).toMatchObject({ status: "Canceled" });
    await platform.clouds.clearFaults();
    expect(writes(await platform.record(since))).toEqual([]);
    const { body: after } = await platform.northwind.getTenant({ tenantId });
    expect(after).toMatchObject({ stage: "pilot", conditions: before.conditions });
    await expect(platform.northwind.getExport({ tenantId })).rejects.toMatchObject({ code: "ExportNotFound" });
  });

  test("stays whole while a gateway has mail in its queue; the rule is gone already, so the queue only gets shorter", async () => {
    const stuck: Post = (url, init) => {
      const body = { ...(JSON.parse(init.body) as object), queue: { count: 3, oldestAgeInSeconds: 60 } };
      return fetch(url, { ...init, body: JSON.stringify(body) });
    };
    const ended = await reporting(() => offboard(contoso, { export: true }), stuck);
    expect(ended).toMatchObject({ status: "Failed", error: { code: "QueueNotEmpty" } });
    expect(ended.error?.message).toContain("3 mails in its queue");
    const { azure, exchange, loopGuid } = await platform.estate(contoso);
    expect(azure).toContain("Microsoft.Compute/virtualMachines");
    expect(exchange.inboundConnectors).toHaveLength(1);
    expect(exchange.transportRules).not.toContain("Route all Mails to own Azure VM");
    secret = loopGuid.vault ?? "";
  });

  test("goes in the safe order once the queue is empty, and nothing is left of it", async () => {
    const before = await platform.now();
    const ended = await reporting(() => offboard(contoso));
    expect(ended.error).toBeUndefined();
    expect(ended).toMatchObject({ status: "Succeeded", percentComplete: 100, kind: "offboarding", result: { stage: "gone" } });
    expect(await platform.estate(contoso)).toMatchObject(empty);
    expect(removals(await platform.record(before))).toEqual([
      "Remove-TransportRule",
      "Remove-TransportRule",
      "Remove-TransportRule",
      "Remove-OutboundConnector",
      "Remove-InboundConnector",
      "Set-HostedConnectionFilterPolicy",
      expect.stringMatching(/^DELETE resource[gG]roups$/),
    ]);
  });

  test("is a tombstone that nobody watches, and its customer is free", async () => {
    const { tenantId } = contoso;
    const { body } = await platform.northwind.getTenant({ tenantId });
    expect(body).toMatchObject({
      stage: "gone",
      conditions: expect.arrayContaining([expect.objectContaining({ reason: "Offboarded" })]),
    });
    const { body: gateways } = await platform.northwind.listGateways({});
    expect(gateways.value.filter(({ id }) => id.startsWith(tenantId))).toEqual([]);
    expect((await platform.northwind.listCredentials({ tenantId })).body.value).toEqual([]);
    await expect(offboard(contoso)).rejects.toMatchObject({ code: "NothingToOffboard" });
    await expectWholeLog(platform, contoso);
    const { body: kept } = await platform.northwind.getExport({ tenantId });
    expect(kept).toMatchObject({ stage: "pilot", spec: { microsoft365: { domains: ["contoso.example"] } } });
    expect(kept.objects.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["gatewayVm", "forwardingRule", "guest"]));
    expect(kept.objects.filter(({ actual }) => actual === undefined)).toEqual([]);
    expect(kept.audit.length).toBeGreaterThan(10);
    expect(secret).toMatch(/^[0-9a-f-]{36}$/);
    expect(JSON.stringify(kept)).not.toContain(secret);
    await expect(platform.tailspin.getExport({ tenantId })).rejects.toMatchObject({ code: "TenantNotFound" });
    await platform.northwind.deleteTenant({ tenantId });
    await expect(platform.northwind.getTenant({ tenantId })).rejects.toMatchObject({ code: "TenantNotFound" });
  });
});

describe("fabrikam, whose gateway is silent and whose resource group has somebody else's disk", () => {
  test("keeps what is not ours, and says what it is", async () => {
    const addresses = platform.clouds.platform.collection<{ id: string; name: string; body: object }>(
      "arm.microsoft.network/publicipaddresses",
    );
    const [key, address] = addresses.entries().find(([id]) => id.includes(fabrikam.spec.azure.subscriptionId)) ?? ["", undefined];
    if (!address) throw new Error("fabrikam has no address");
    const theirs = { id: `${address.id}-theirs`, name: `${address.name}-theirs`, body: { ...address.body, tags: {} } };
    addresses.set(`${key}-theirs`, { ...structuredClone(address), ...theirs });
    const { body: plan } = await platform.northwind.planOnboarding({
      tenantId: fabrikam.tenantId,
      body: { operation: "offboarding" },
    });
    expect(plan.resources.at(-1)).toMatchObject({ action: "blocked", reason: expect.stringContaining(theirs.name) });
    const ended = await offboard(fabrikam, { abandonQueues: true });
    expect(ended).toMatchObject({ status: "Failed", error: { code: "ForeignObject" } });
    expect(ended.error?.message).toContain(theirs.name);
    expect(ended.steps.find(({ name }) => name === "emptyQueues")?.status).toBe("Skipped");
    expect((await platform.estate(fabrikam)).azure).toContain("Microsoft.Compute/virtualMachines");
    addresses.delete(`${key}-theirs`);
  });

  test("asked again it goes on from what is left, and asks no machine that said it already", async () => {
    const ended = await offboard(fabrikam);
    expect(ended.error).toBeUndefined();
    expect(ended.steps.filter(({ status }) => status === "Skipped").map(({ name }) => name)).toEqual([
      "aroundGateway",
      "emptyQueues",
    ]);
    expect(await platform.estate(fabrikam)).toMatchObject(empty);
  });

  test("can be onboarded again, with its old names", async () => {
    const again = await platform.untilEnded(await platform.start(fabrikam));
    expect(again.error).toBeUndefined();
    expect(again).toMatchObject({ status: "Succeeded", result: { stage: "pilot" } });
  });
});
