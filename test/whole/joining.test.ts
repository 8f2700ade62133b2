/** Machines that join gateways whose mail runs, which show a certificate of their own: in virtual time. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { failAt } from "../support/failing.ts";
import { ownViolations } from "../support/invariants.ts";
import { waysIn } from "../support/ways.ts";
import { type Life, startWorlds, type Worlds } from "../support/worlds.ts";

let worlds: Worlds;
beforeAll(async () => {
  worlds = await startWorlds();
});
afterAll(() => worlds.stop());

/** What went wrong with mail until now, and by what connectors mail may come back. */
async function seen(life: Life) {
  const record = await life.record();
  return {
    unsafe: ownViolations(record, worlds.customer.watched),
    returned: record.filter(({ method }) => method === "NDR").map(({ requestBody }) => requestBody),
    connectors: (await life.estate()).exchange.inboundConnectors,
  };
}

const well = { unsafe: [], returned: [], connectors: ["FROM Azure VM to M365 by certificate"] };

test("with the certificate itself or after it, no mail goes in circles: what names addresses knows theirs before they are there", async () => {
  const { from, start } = await waysIn(worlds)("certifiedChange");
  const { tenantId } = worlds.customer;
  await worlds.life(async (life) => {
    failAt(undefined);
    const { body: plan } = await life.partner.planOnboarding({ tenantId });
    const planned = plan.resources.filter(({ kind }) => kind === "inboundConnector").map(({ name, action }) => [name, action]);
    expect(planned).toEqual([
      ["Inbound connector by address: the new machines' addresses, too", "update"],
      ["Inbound connector: gateway to Microsoft 365", "create"],
      ["Inbound connector of the other form gone", "remove"],
    ]);
    const both = await life.ended(await start(life));
    expect({ status: both.status, ...(await seen(life)) }).toEqual({ status: "Succeeded", ...well });
    expect(both.steps.map(({ name }) => name)).toContain("acceptedEverywhere");
    expect(both.steps.find(({ name }) => name === "inboundConnectorWidened")).toMatchObject({
      status: "Succeeded",
      change: "updated",
    });

    const { spec } = (await life.partner.getTenant({ tenantId })).body;
    const gateway = { ...spec.gateway, regions: [{ name: "westeurope", machines: 3 }] };
    await life.partner.putTenant({ tenantId, body: { ...worlds.customer.body, gateway } });
    const third = await life.ended(await start(life));
    expect({ status: third.status, ...(await seen(life)) }).toEqual({ status: "Succeeded", ...well });
    expect(third.steps.map(({ name }) => name)).not.toContain("inboundConnectorWidened");
  }, from);
});
