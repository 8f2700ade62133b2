/** Rotations over the wire: at every instant the gateway holds a secret that Entra takes; at the end one is valid, and none is orphaned. */
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { CloudName } from "../../infra/local/clouds/simulator.ts";
import { type RotationTest, startRotation } from "./rotation.ts";

let under: RotationTest;
let generation = 1;
beforeAll(async () => {
  under = await startRotation();
});
afterAll(() => under.stop());

/** Exactly one of ours is valid, it is the one in the vault that the row names, and the gateway holds it. */
async function expectSettled(): Promise<void> {
  const { current, rotation, previous } = await under.credential();
  const { held, valid } = under.look();
  expect({ valid: valid.map(({ keyId }) => keyId), held, rotation, previous }).toEqual({
    valid: [current?.keyId],
    held: valid[0]?.hash,
    rotation: undefined,
    previous: undefined,
  });
  expect(under.outages).toEqual([]);
}

async function rotate(): Promise<void> {
  if (generation > 1) await under.bringNear();
  await under.sweep();
  generation += 1;
  await under.untilRotated(generation);
}

test("the first sweep makes the first secret; near its expiry in the vault, the next makes another", async () => {
  await rotate();
  await expectSettled();
  await rotate();
  await expectSettled();
  const operations = await under.platform.northwind.listOperations({ tenantId: under.tenant.tenantId });
  const ended = operations.body.value.filter(({ kind }) => kind === "rotation");
  expect(ended.map(({ status }) => status)).toEqual(["Succeeded", "Succeeded"]);
});

test("the sweep finds nothing while nothing is due", async () => {
  const since = await under.platform.now();
  await under.sweep();
  await pause(1000);
  const writes = (await under.platform.record(since)).filter(({ effect }) => effect === "write");
  expect([writes, (await under.credential()).generation]).toEqual([[], generation]);
});

const broken: [string, CloudName, string, { method: string; path: string }][] = [
  ["the answer to addPassword is lost", "graph", "cut-after-effect", { method: "POST", path: "addPassword" }],
  ["the vault refuses the secret once", "vault", "5xx", { method: "PUT", path: "webclient-client-secret" }],
  ["the answer of the vault is lost", "vault", "cut-after-effect", { method: "PUT", path: "webclient-client-secret" }],
  ["the answer to the run on the machine is lost", "arm", "cut-after-effect", { method: "PUT", path: "runCommands" }],
  ["the answer to removePassword is lost", "graph", "cut-after-effect", { method: "POST", path: "removePassword" }],
];
test.for(broken)("%s: one secret is valid at the end", async ([, cloud, fault, match]) => {
  const before = under.look().valid.map(({ keyId }) => keyId);
  await under.platform.clouds.fault(cloud, fault, match);
  await rotate();
  await expectSettled();
  expect(before).not.toContain((await under.credential()).current?.keyId);
  const left = (await (await fetch(`${under.platform.clouds.control}/faults`)).json()) as { value: unknown[] };
  expect(left.value).toEqual([]);
});

test("a rotation that fails when the old secret is to be revoked is finished by the next sweep, without a new secret", async () => {
  await under.platform.clouds.fault("graph", "refuse", { method: "POST", path: "removePassword" });
  await under.bringNear();
  await under.sweep();
  generation += 1;
  const seen = async () => {
    const { generation: reached, rotation, previous } = await under.credential();
    return reached === generation && rotation === undefined && previous !== undefined;
  };
  while (!(await seen())) await pause(50);
  const made = (await under.credential()).current;
  expect(under.look().valid).toHaveLength(2);
  // The broker drops a second message with the same id within ten minutes; on the next day it has another.
  const { tenantId } = under.tenant;
  const body = { kind: "credentialDue", partnerId: "northwind", tenantId, name: "clientSecret", generation };
  await under.sender.send("rotation", { messageId: `tomorrow-${tenantId}`, body });
  expect((await under.untilRotated(generation)).current).toEqual(made);
  await expectSettled();
});

/** What Event Grid would deliver for the current version of the tenant's secret, were its vault in our own tenant. */
const event = async (version: string) => ({
  id: "1",
  specversion: "1.0",
  type: "Microsoft.KeyVault.SecretNearExpiry",
  source: "vault",
  subject: "webclient-client-secret",
  data: {
    Id: `https://${await under.vault()}.vault.azure.net/secrets/webclient-client-secret/${version}`,
    "ObjectName ": "webclient-client-secret",
    EXP: "1559082102",
  },
});
const currentVersion = async (): Promise<string> => (await under.credential()).current?.reference.version ?? "";

test("an event delivered twice makes one rotation; a late one, of a version that is past, none", async () => {
  const version = await currentVersion();
  const body = await event(version);
  await under.sender.send("rotation", { messageId: `event-a-${version}`, body });
  await under.sender.send("rotation", { messageId: `event-b-${version}`, body });
  generation += 1;
  await under.untilRotated(generation);
  await under.sender.send("rotation", { messageId: `event-c-${version}`, body });
  while (under.bus.state().queues.some(({ name, active, locked }) => name === "rotation" && active + locked > 0)) await pause(50);
  await pause(500);
  expect((await under.credential()).generation).toBe(generation);
  await expectSettled();
});

test("a message that is no event is dead-lettered with its reason", async () => {
  await under.sender.send("rotation", { messageId: "poison", body: { data: { Id: "http://contoso.example" } } });
  await under.sender.send("rotation", { messageId: "poison-2", body: "nonsense" });
  const dead = () => under.bus.state().queues.find(({ name }) => name === "rotation")?.deadLetters ?? [];
  while (!dead().some(({ messageId }) => messageId === "poison-2")) await pause(50);
  for (const messageId of ["poison", "poison-2"])
    expect(dead()).toContainEqual(expect.objectContaining({ messageId, reason: "MessageMalformed" }));
});
