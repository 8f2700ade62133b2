/** One operation at a time changes a tenant, whoever asks at once and dies where: what can't begin is in no list, and begins when it is asked for again. */
import { readFileSync } from "node:fs";
import type { DurableClient } from "durable-functions";
import { expect, test } from "vitest";
import type { Work } from "../../shared/durable/resources.ts";
import { claimTenant, startOperation, type TenantOperation } from "../../shared/durable/tenant-operation.ts";
import { createOperationStore } from "../../shared/stores/operations.ts";
import type { Storage } from "../../shared/stores/storage.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import { memoryStorage } from "../support/memory-storage.ts";

const partnerId = "northwind";
const tenantId = "contoso";
const { tenantId: _, ...spec } = JSON.parse(readFileSync("examples/contoso.json", "utf8"));
const clock = { now: () => Date.parse("2030-01-01T00:00:00Z") };

/** What dies dies at once: nothing of it is done any more. */
type Mortal = <T>(act: () => T) => T;
const immortal: Mortal = (act) => act();

/** Somebody who dies before this write, counted from 1; to begin is one. */
function dyingBefore(write: number): Mortal {
  let writes = 0;
  return (act) => {
    writes += 1;
    if (writes >= write) throw new Error("died");
    return act();
  };
}

async function world() {
  const storage = memoryStorage();
  const { tenants, operations } = storesOn(storage);
  await tenants.add(partnerId, tenantId, spec);
  const begun: string[] = [];
  /** What begins says so, as every orchestration does first. */
  const client = (mortal: Mortal) =>
    ({
      getStatus: async (id: string) =>
        begun.includes(id) ? { runtimeStatus: "Running" } : Promise.reject(new Error("404: there is no such instance")),
      startNew: async (_name: string, { instanceId }: { instanceId: string }) => {
        mortal(() => begun.push(instanceId));
        await operations.recordProgress(partnerId, instanceId.split("_")[1] ?? "", { status: "Running" });
      },
    }) as unknown as DurableClient;
  return {
    tenants,
    operations,
    begun,
    /** @param meanwhile between the look whether it may begin and its beginning */
    ask: (operationId: string, { meanwhile = async () => {}, mortal = immortal }: Partial<Asking> = {}) =>
      startOperation(storesOn(writing(storage, mortal)), client(mortal), promotion(meanwhile), {
        partnerId,
        tenantId,
        operationId,
        body: undefined,
      }).then(
        ({ id }) => `began ${id}`,
        (error: Error & { code?: string }) => error.code ?? error.message,
      ),
    listed: async () => (await operations.list(partnerId, {}, 100)).items.map(({ id, status }) => `${id} ${status}`),
    end: (operationId: string) => operations.recordProgress(partnerId, operationId, { status: "Succeeded" }),
  };
}

interface Asking {
  meanwhile: () => Promise<unknown>;
  mortal: Mortal;
}

const storesOn = (storage: Storage) => ({
  tenants: createTenantStore(storage, clock),
  operations: createOperationStore(storage, clock),
});

const promotion = (meanwhile: () => Promise<unknown>): TenantOperation<{ work: Work }> => ({
  kind: "promotion",
  orchestrator: function* promoteTenant() {},
  stepsOf: () => [],
  inputOf: (_tenant, operationId) => ({ work: { partnerId, tenantId, operationId } }),
  check: async () => void (await meanwhile()),
});

function writing(storage: Storage, mortal: Mortal): Storage {
  const writes = new Set<string | symbol>(["createEntity", "updateEntity", "submitTransaction"]);
  return {
    ...storage,
    table: async (name) =>
      new Proxy(await storage.table(name), {
        get: (table, property) => {
          const method = Reflect.get(table, property) as (...input: unknown[]) => unknown;
          return writes.has(property) ? async (...input: unknown[]) => mortal(() => method(...input)) : method;
        },
      }),
  };
}

test("of two that begin at once one does; the other is refused, in no list, and begins once the first has ended", async () => {
  const { ask, end, listed, begun } = await world();
  expect(await ask("operation-2", { meanwhile: () => ask("operation-1") })).toBe("OperationInProgress");
  expect({ begun, listed: await listed() }).toEqual({ begun: ["northwind_operation-1_1"], listed: ["operation-1 Running"] });
  // Its row is there, and is no way past the one that runs.
  expect(await ask("operation-2")).toBe("OperationInProgress");
  await end("operation-1");
  expect(await ask("operation-2")).toBe("began operation-2");
  expect(begun).toEqual(["northwind_operation-1_1", "northwind_operation-2_1"]);
});

test("whoever dies while it begins leaves nothing in a list that never begins, and nothing that keeps others out", async () => {
  const outcomes: string[] = [];
  for (let write = 1; ; write++) {
    const { ask, end, listed, begun } = await world();
    if ((await ask("operation-1", { mortal: dyingBefore(write) })) !== "died") break;
    expect({ write, begun, listed: await listed() }).toEqual({ write, begun: [], listed: [] });
    // Where it had the tenant already it begins with whoever comes next, who is refused.
    const next = await ask("operation-2");
    const [first, second] = next === "began operation-2" ? ["operation-2", "operation-1"] : ["operation-1", "operation-2"];
    expect({ write, begun, listed: await listed() }).toEqual({
      write,
      begun: [`northwind_${first}_1`],
      listed: [`${first} Running`],
    });
    expect(await ask(second)).toBe("OperationInProgress");
    await end(first);
    expect(await ask(second)).toBe(`began ${second}`);
    outcomes.push(next);
  }
  expect(outcomes).toEqual(["began operation-2", "began operation-2", "OperationInProgress"]);
});

test("who has seen an operation ended does not take the tenant from its further attempt", async () => {
  const { ask, end, tenants, operations } = await world();
  await ask("operation-1");
  await operations.recordProgress(partnerId, "operation-1", { status: "Failed" });
  const retried = async () => {
    const seen = await tenants.get(partnerId, tenantId);
    const again = await operations.retry(partnerId, "operation-1", { steps: [], abandoned: false });
    expect((await operations.list(partnerId, {}, 100)).items).toMatchObject([{ status: "Failed", attempt: 1 }]);
    await claimTenant(tenants, again, seen);
    await operations.show(partnerId, "operation-1");
  };
  expect(await ask("operation-2", { meanwhile: retried })).toBe("OperationInProgress");
  expect(await operations.get(partnerId, "operation-1")).toMatchObject({ status: "NotStarted", attempt: 2 });
  await end("operation-1");
  expect(await ask("operation-2")).toBe("began operation-2");
});

test("a further attempt that is refused before it begins leaves the operation as it was", async () => {
  const { ask, operations } = await world();
  await ask("operation-1");
  const error = { code: "Busy", message: "too many requests" };
  const failed = await operations.recordProgress(partnerId, "operation-1", { status: "Failed", error });
  const steps = [{ name: "startTls", title: "STARTTLS", branch: "proof" as const }];
  expect(await operations.retry(partnerId, "operation-1", { steps, abandoned: false })).toMatchObject({ attempt: 2 });
  await operations.putBack(failed);
  const { etag: _etag, lastUpdatedAt: _at, steps: _steps, ...before } = failed;
  expect(await operations.get(partnerId, "operation-1")).toMatchObject(before);
});
