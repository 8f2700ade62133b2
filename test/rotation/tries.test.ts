/** A rotation that fails is tried again, though not by each message that says that it is due. */
import { expect, test } from "vitest";
import { nextTry } from "../../functions/rotation/tries.ts";
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import { createOperationStore } from "../../shared/stores/operations.ts";
import { memoryStorage } from "../support/memory-storage.ts";

const HOUR = 3600 * 1000;
const START = Date.parse("2026-11-23T00:00:00Z");
const credential = { partnerId: "northwind", tenantId: "contoso", name: "clientSecret" as const };
const { partnerId, tenantId } = credential;

/** `previous`: only the old one is left to go. */
function world(left: Pick<CredentialRecord, "previous"> = {}) {
  let now = START;
  const operations = createOperationStore(memoryStorage(), { now: () => now });
  const next = (name: "clientSecret" | "loopGuid" = "clientSecret") =>
    nextTry(operations, { ...credential, name, ...left }, 2, now);
  /** One message; gives whether a try was begun, which then ends so. */
  async function message(ending: "Failed" | "Canceled" | "Running"): Promise<boolean> {
    const found = await next();
    if ("until" in found) return false;
    const { id } = found;
    const { created } = await operations.create({ partnerId, tenantId, id, kind: "rotation", requestHash: "", steps: [] });
    if (created) await operations.recordProgress(partnerId, id, { status: ending });
    return created;
  }
  return { next, message, pass: (milliseconds: number) => void (now += milliseconds) };
}

/** In hours, when each begins that a message each ten minutes brings for so long. */
async function begunIn({ message, pass }: ReturnType<typeof world>, hours: number): Promise<number[]> {
  const begun: number[] = [];
  for (let at = 0; at < 6 * hours; at++) {
    if (await message("Failed")) begun.push(at / 6);
    pass(HOUR / 6);
  }
  return begun;
}

test("after a failure an hour passes, after each further one twice as long, and never more than half a day", async () => {
  expect(await begunIn(world(), 3 * 24)).toEqual([0, 1, 3, 7, 15, 27, 39, 51, 63]);
});

test("an old one that could not be let go is tried again at the next message, and from then on as any other", async () => {
  const previous = { reference: { vaultUrl: "https://contoso.vault.example", name: "client-secret", version: "1" }, keyId: "" };
  expect(await begunIn(world({ previous }), 24)).toEqual([0, 1 / 6, 1 + 1 / 6, 3 + 1 / 6, 7 + 1 / 6, 15 + 1 / 6]);
});

test("one that is under way is found, one that was stopped is begun again, and another credential's failures count for nothing", async () => {
  const { message, next } = world();
  expect(await message("Canceled")).toBe(true);
  expect(await message("Failed")).toBe(true);
  expect(await next()).toEqual({ until: START + HOUR });
  expect(await next("loopGuid")).toEqual({ id: "rotation-contoso-2-0-guid" });
  const other = world();
  expect(await other.message("Running")).toBe(true);
  expect(await other.message("Running")).toBe(false);
  expect(await other.next()).toEqual({ id: "rotation-contoso-2-0" });
});
