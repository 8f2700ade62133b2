/** A snapshot of all clouds, and back to it: in the same process, over the control door, and through a restart. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const directory = mkdtempSync(join(tmpdir(), "gatehouse-snapshots-"));
let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds({ directory });
});
afterAll(async () => {
  await clouds.stop();
  rmSync(directory, { recursive: true });
});

const contoso = {
  tenantId: "c0ffee00-0000-4000-8000-000000000001",
  domains: ["contoso.example"],
  mailboxes: ["probe@contoso.example"],
  subscriptionId: "5b5c0de0-0000-4000-8000-000000000001",
  offer: "EnterpriseAgreement" as const,
};
const fabrikam = { ...contoso, tenantId: "c0ffee00-0000-4000-8000-000000000002", domains: ["fabrikam.example"] };

const everything = async (): Promise<unknown[]> =>
  Promise.all((["entra", "arm", "vault", "graph", "exchange", "dns", "mail"] as const).map((cloud) => clouds.state(cloud)));
const post = (path: string): Promise<Response> => fetch(`${clouds.control}${path}`, { method: "POST" });
const token = async (tenantId: string): Promise<number> =>
  (await fetch(`${clouds.entra}/${tenantId}/v2.0/.well-known/openid-configuration`)).status;

test("what happened after a snapshot has not happened, and everything goes on from there", async () => {
  await clouds.organize(contoso);
  const before = await everything();
  const asked = await clouds.requests();
  const id = clouds.snapshot();

  await clouds.organize({ ...fabrikam, subscriptionId: "5b5c0de0-0000-4000-8000-000000000002" });
  await clouds.consent(contoso.tenantId);
  await clouds.fault("entra", "refuse", {}, 3);
  expect(await everything()).not.toEqual(before);
  await clouds.restore(id);

  expect(await everything()).toEqual(before);
  expect(await clouds.requests()).toEqual(asked);
  expect(clouds.platform.organizations.get(fabrikam.tenantId)).toBeUndefined();
  expect(await token(contoso.tenantId)).toBe(200);
  expect((await clouds.consent(contoso.tenantId)).searchParams.get("admin_consent")).toBe("True");
  expect((await clouds.requests()).at(-1)?.seq).toBeGreaterThan(asked.at(-1)?.seq ?? 0);
});

test("the control door does the same, as often as one likes", async () => {
  const answered = await post("/snapshots");
  const { id } = (await answered.json()) as { id: number };
  expect(answered.status).toBe(201);
  const before = await everything();
  for (const round of [1, 2]) {
    await clouds.organize({ ...fabrikam, subscriptionId: `5b5c0de0-0000-4000-8000-00000000000${round}`.replace(/1$/, "3") });
    expect((await post(`/snapshots/${id}/restore`)).status).toBe(204);
    expect(await everything()).toEqual(before);
  }
  expect((await post("/snapshots/4711/restore")).status).toBe(404);
  expect((await post("/snapshots/none/restore")).status).toBe(404);
  expect(await everything()).toEqual(before);
});

test("a snapshot is still there after a restart, and a restored state too", async () => {
  const id = clouds.snapshot();
  const before = await everything();
  await clouds.organize({ ...fabrikam, subscriptionId: "5b5c0de0-0000-4000-8000-000000000009" });
  const after = await everything();
  await clouds.stop();
  clouds = await startClouds({ directory });
  expect(await everything()).toEqual(after);
  await clouds.restore(id);
  await clouds.stop();
  clouds = await startClouds({ directory });
  expect(await everything()).toEqual(before);
});

test("what was opened before a restore changes nothing any more", async () => {
  const id = clouds.snapshot();
  const late = clouds.platform.collection<number>("test.late");
  await clouds.restore(id);
  late.set("written", 1);
  expect(clouds.platform.collection<number>("test.late").get("written")).toBeUndefined();
});
