/** The host is killed at each step of a rotation: at every instant the gateway's secret is valid; at the end one is, and none is orphaned. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { rotationSteps } from "../../functions/rotation/steps.ts";
import { type Application, hashOf } from "../../infra/local/clouds/entra/directory.ts";
import { endpointsOf, newCustomer, partnerOf, startCommand, withFolder } from "../support/command.ts";
import { onboard, stopped } from "../support/kills.ts";

interface Guest {
  registry: Record<string, Record<string, { data: unknown }>>;
}

/** What the simulated clouds hold at this moment, in their own database: nothing of it comes through a door that redacts. */
function eyeOn(folder: string, subscription: string, organization: string) {
  const database = new DatabaseSync(join(folder, "clouds", "clouds.sqlite"), { readOnly: true });
  const read = (collection: string, part: string): unknown => {
    const query = "SELECT json FROM documents WHERE collection = ? AND lower(id) LIKE ?";
    const row = database.prepare(query).get(collection, `%${part}%`);
    return row && JSON.parse(String(row["json"]));
  };
  return {
    look: () => {
      const value = (read("arm.guests", subscription) as Guest | undefined)?.registry["hklm\\software\\gbs\\iq.suite\\ewsscan"]?.[
        "OAuthClientSecret"
      ]?.data;
      const valid = (read("entra.applications", `${organization}/`) as Application | undefined)?.passwordCredentials ?? [];
      return { held: typeof value === "string" ? hashOf(value) : undefined, valid: valid.map(({ hash }) => hash) };
    },
    close: () => database.close(),
  };
}

test("seven rotations outlive a kill of the host at each of their steps", { timeout: 600_000 }, () =>
  withFolder(async (folder) => {
    const command = startCommand("--idle", "--port", "0", "--data", folder);
    try {
      await command.untilPrinted("Running");
      const endpoints = await endpointsOf(folder);
      const customer = newCustomer("adatum");
      expect((await onboard(endpoints, customer)).status).toBe("Succeeded");
      const { tenantId, spec } = customer;
      const eye = eyeOn(folder, spec.azure.subscriptionId, spec.microsoft365.tenantId);
      const outages: string[] = [];
      let step = "";
      const watching = setInterval(() => {
        const { held, valid } = eye.look();
        if (held !== undefined && !valid.includes(held)) outages.push(step);
      }, 20);
      const partner = partnerOf(endpoints);
      const credential = async () => (await partner.listCredentials({ tenantId })).body.value[0];
      const vaults = (await (await fetch(`${endpoints.control}/state/vault`)).json()) as Record<string, unknown>;
      const vault = Object.keys(vaults)
        .find((key) => key.endsWith("/loop-guid"))
        ?.split("/")[0];
      // The first one is made by the sweep; it is not killed.
      const settled = async (generation: number): Promise<void> => {
        for (;;) {
          const seen = await credential();
          if (seen && seen.generation >= generation && !seen.overlapping && seen.operationId === undefined) break;
          await pause(50);
        }
        const { held, valid } = eye.look();
        expect({ step, valid, outages }).toEqual({ step, valid: [held], outages: [] });
      };
      await settled(2);
      let generation = 2;
      for (const { name } of rotationSteps({ gateway: { regions: [{ name: "westeurope", machines: 1 }] } })) {
        step = name;
        await fetch(`${endpoints.control}/secrets`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ vault, name: "webclient-client-secret", expiresInSeconds: 3600 }),
        });
        let operationId: string | undefined;
        while (operationId === undefined) {
          operationId = (await credential())?.operationId;
          await pause(20);
        }
        for (;;) {
          const { steps } = (await partner.getOperation({ operationId })).body;
          const at = steps.find((one) => one.name === name);
          if (at && at.status !== "Pending") break;
          await pause(10);
        }
        process.kill((await endpointsOf(folder)).pids.host, "SIGKILL");
        generation += 1;
        await settled(generation);
      }
      clearInterval(watching);
      eye.close();
    } finally {
      await stopped(command);
    }
  }),
);
