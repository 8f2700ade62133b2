/** `npm start` as a person uses it: refusals, several tenants, a second start, the administrator's part, and its end. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test } from "vitest";
import { grantConsent } from "../../infra/local/administrator.ts";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import {
  alive,
  type Endpoints,
  endpointsOf,
  newCustomer,
  partnerOf,
  recordLeftIn,
  recordOf,
  runCommand,
  startCommand,
  withFolder,
} from "../support/command.ts";

const contoso = JSON.parse(readFileSync("examples/contoso.json", "utf8")) as TenantSpec & { tenantId: string };

/** But for the platform's own vault, and for what the administrator does on the consent page. */
const customerWrites = (record: Exchange[]): string[] =>
  record
    .filter(({ effect, cloud, url }) => effect === "write" && cloud !== "entra" && !url.includes("/vaults/gatehouse/"))
    .map(({ cloud, method, url }) => `${cloud} ${method} ${url}`);

async function untilRotated(endpoints: Endpoints, tenantId: string): Promise<void> {
  for (;;) {
    const [credential] = (await partnerOf(endpoints).listCredentials({ tenantId })).body.value;
    if (credential?.generation === 2 && !credential.operationId) return;
    await pause(100);
  }
}

const written = (folder: string, name: string, content: unknown): string => {
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify(content));
  return file;
};

test(
  "tenants are onboarded in turn: what is refused or can't be proven writes nothing, and a second start changes nothing",
  { timeout: 300_000 },
  () =>
    withFolder(async (folder) => {
      const data = join(folder, "state");
      const open = structuredClone(contoso);
      open.gateway.services.rdp = { sources: ["0.0.0.0/0"] };
      const domain = "unverified.example";
      const stranger = {
        ...contoso,
        microsoft365: { ...contoso.microsoft365, domains: [domain], probeMailbox: `probe@${domain}` },
        pilot: { addresses: [`pilot@${domain}`] },
      };
      const refusals = ["--tenant", written(folder, "rdp.json", open), "--tenant", written(folder, "domain.json", stranger)];

      const bad = await runCommand("--once", "--port", "0", "--data", data, ...refusals);
      expect(bad.code).toBe(1);
      expect(bad.output).toContain("rdp.json was refused, and nothing was created");
      expect(bad.output).toContain("gateway.services.rdp.sources[0]: admits the whole internet");
      expect(bad.output).toContain(`DomainNotVerified: the domain ${domain} is not verified`);
      expect(bad.output).toContain("nothing was created or changed at the customer's");
      expect(customerWrites(recordLeftIn(data))).toEqual([]);

      const one = startCommand("--port", "0", "--data", data, "--tenant", "examples/fabrikam.json");
      try {
        expect(await one.untilPrinted("Running until Ctrl+C")).toContain("fabrikam is in pilot");
        // A rotation has work of its own to do, whenever its timer finds something due.
        await untilRotated(await endpointsOf(data), "fabrikam");
        one.signal("SIGINT");
        expect(await one.ended).toBe(0);
      } finally {
        one.signal("SIGKILL");
      }
      const before = recordLeftIn(data);
      expect(customerWrites(before)).not.toEqual([]);

      const again = await runCommand("--once", "--port", "0", "--data", data, "--tenant", "examples/fabrikam.json");
      expect(again.code).toBe(0);
      expect(again.output).toMatch(/fabrikam is in pilot: \d+ unchanged\./u);
      expect(customerWrites(recordLeftIn(data).slice(before.length))).toEqual([]);
    }),
);

test(
  "a platform that stays says where everything is, leaves the consent to the person it asks, and ends without a trace",
  { timeout: 300_000 },
  () =>
    withFolder(async (folder) => {
      const data = join(folder, "state");
      const { tenantId, spec } = newCustomer("adatum");
      const file = written(folder, "adatum.json", { tenantId, ...spec });
      const command = startCommand("--ask", "--port", "0", "--data", data, "--tenant", file);
      try {
        const asked = await command.untilPrinted(/adminconsent\S+\n/u);
        expect(asked).toContain("Open this link as the customer's administrator");
        const [link = ""] = /https:\/\/\S+adminconsent\S+/u.exec(asked) ?? [];
        const endpoints = await endpointsOf(data);
        expect(Object.keys(endpoints)).toEqual([
          "api",
          "openapi",
          "entra",
          "arm",
          "graph",
          "exchange",
          "dns",
          "tables",
          "storage",
          "serviceBus",
          "control",
          "ca",
          "pids",
          "clients",
        ]);
        expect(Object.keys(endpoints.pids)).toEqual(["host", "clouds", "azurite", "serviceBus"]);
        // Everybody on the machine may read command lines.
        const commandLines = execFileSync("ps", ["-ww", "-o", "args=", "-p", Object.values(endpoints.pids).join(",")], {
          encoding: "utf8",
        });
        expect(commandLines).toContain("infra/local/clouds/main.ts");
        expect(commandLines).not.toContain("SharedAccessKey");
        const credentials = ["tokenEndpoint", "clientId", "clientSecret", "scope"];
        expect(endpoints.clients.map((client) => [client.role, client.partnerId])).toEqual([
          ["partner", "northwind"],
          ["partner", "tailspin"],
          ["operator", undefined],
        ]);
        for (const client of endpoints.clients) expect(Object.keys(client).slice(-4)).toEqual(credentials);

        // Nobody else may work here, or take the API's port, meanwhile.
        const port = new URL(endpoints.api).port;
        const [second, third] = await Promise.all([
          runCommand("--idle", "--port", "0", "--data", data),
          runCommand("--idle", "--port", port, "--data", join(folder, "other")),
        ]);
        expect(second).toMatchObject({
          code: 1,
          output: expect.stringContaining(`another Gatehouse works in ${data}`) as string,
        });
        expect(third).toMatchObject({
          code: 1,
          output: expect.stringContaining(`port ${port} is in use; choose another with --port`) as string,
        });

        const [waiting] = (await partnerOf(endpoints).listOperations({ tenantId })).body.value;
        expect(waiting).toMatchObject({ status: "Running", waitingFor: { kind: "consent" } });
        expect(customerWrites(await recordOf(endpoints))).toEqual([]);
        expect(await grantConsent(link)).toContain("Consent was given");
        expect(await command.untilPrinted("Running until Ctrl+C")).toContain("adatum is in pilot");

        command.signal("SIGINT");
        expect(await command.ended).toBe(0);
        for (const pid of Object.values(endpoints.pids)) expect(alive(pid)).toBe(false);
        expect(existsSync(join(data, "endpoints.json"))).toBe(true);
      } finally {
        command.signal("SIGKILL");
      }
    }),
);
