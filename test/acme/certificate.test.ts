/** A certificate from an ACME server, with Pebble as the server, simulated clouds around it, and processes that die. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { accountSecrets } from "../../shared/acme/server.ts";
import { noPebble } from "../support/pebble.ts";
import { interrupted, oneOfEach } from "./interrupted.ts";
import { type AcmeWorld, NAME, recordPath, startAcmeWorld } from "./world.ts";

const EXTERNAL = { id: "northwind-1", key: "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W" };

describe.skipIf(noPebble)("with Pebble", () => {
  let acme: AcmeWorld;
  beforeAll(async () => {
    acme = await startAcmeWorld({
      badNonces: 15,
      externalAccounts: { [EXTERNAL.id]: EXTERNAL.key },
      externalAccount: EXTERNAL.id,
    });
  });
  afterAll(() => acme?.stop());
  beforeEach(() => acme.forget());

  const refusal = (): Promise<unknown> =>
    acme
      .over()
      .obtain()
      .then(
        () => "none",
        (error: unknown) => (error instanceof Error ? error.message : error),
      );

  test("whom the authority doesn't know is not let in, and leaves nothing behind", async () => {
    expect(await refusal()).toMatch(/^AcmeAccountRefused: .* acme-external-account-key/);
    expect({ texts: acme.texts(), pending: await acme.pending() }).toEqual({ texts: [], pending: undefined });
    const { vaults, clouds } = acme.world;
    await vaults.write({ vaultUrl: clouds.platformVault, name: accountSecrets.externalKey, value: EXTERNAL.key });
  });

  test("a name in a zone that we may write gets its certificate, and nothing of the proof is left", async () => {
    const before = acme.orderCount();
    const made = await acme.over().obtain();
    expect(made).toMatchObject({ pending: false, names: [NAME], validity: "valid", selfSigned: false });
    expect({ texts: acme.texts(), versions: await acme.versions(), orders: acme.orderCount() - before }).toEqual({
      texts: [],
      versions: 1,
      orders: 1,
    });
    expect(await acme.orders.get("northwind", "contoso")).toMatchObject({ ended: [{ how: "issued" }] });
  });

  test("a process that dies after it ordered, or before it can say that it is done, leaves one order and one version", async () => {
    expect(await interrupted(acme, { at: 3, when: "after" })).toEqual({ what: "order", left: oneOfEach });
    expect(await interrupted(acme, { at: 9, when: "after" })).toEqual({ what: "merge", left: oneOfEach });
  });

  test("a record that nobody follows any more goes with the sweep, and not before", async () => {
    const nobodySees = acme.over({ authorities: { texts: async () => ({ state: "absent" }) } });
    await nobodySees.ensure(acme.wanted);
    expect(await nobodySees.poll(acme.operationUrl)).toMatchObject({ status: "running" });
    expect(acme.texts()).toHaveLength(1);
    expect(await acme.over().certificates.withdrawLeftBehind()).toBe(0);
    acme.now.value += 2 * 3600_000 + 1000;
    expect(await acme.over().certificates.withdrawLeftBehind()).toBe(1);
    expect(acme.texts()).toEqual([]);
  });

  test("what others have at the same name stays", async () => {
    const set = { properties: { TTL: 300, metadata: { costCentre: "7" }, TXTRecords: [{ value: ["somebody else's proof"] }] } };
    await acme.world.arm.put(recordPath, set);
    await acme.over().obtain();
    expect(acme.texts()).toEqual(["somebody else's proof"]);
    const { properties } = await acme.world.arm.get(recordPath);
    expect(properties).toMatchObject({ metadata: { costCentre: "7" } });
    expect(JSON.stringify(properties)).not.toContain("gatehouse");
    await acme.world.arm.delete(recordPath);
  });
});
