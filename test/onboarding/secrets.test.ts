/** Secrets live in Key Vault and nowhere else: not in what is stored, logged, recorded or shown, in whatever encoding. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Operation } from "../../shared/api/operation.ts";
import { expectWholeLog } from "../support/audit.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";
import { blobsNow, filesIn, formsOf, secretsSeen, tablesNow } from "../support/secret-search.ts";

const directory = mkdtempSync(path.join(tmpdir(), "gatehouse-secrets-"));
const contoso = customer("contoso");
const { tenantId } = contoso;
let platform: OnboardingPlatform;
let operation: Operation;
let rotation: Operation;
/** Name → value of everything that must not be seen. */
const secrets = new Map<string, string>();

beforeAll(async () => {
  platform = await startOnboarding({
    stateFile: path.join(directory, "durable.sqlite"),
    busDirectory: path.join(directory, "service-bus"),
  });
  const { clouds, bus } = platform;
  const issued: string[] = [];
  const { issue } = clouds.tokens;
  vi.spyOn(clouds.tokens, "issue").mockImplementation(async (wanted) => {
    const made = await issue(wanted);
    issued.push(made.token);
    return made;
  });
  // What goes wrong is logged, and errors like to quote the request that they are about.
  await clouds.fault("arm", "500", { method: "PUT", path: "/virtualMachines/gateway-1?" });
  await clouds.fault("exchange", "cut-before-effect", { cmdlet: "New-TransportRule" }, 2);
  await clouds.fault("vault", "503", { method: "PUT", path: "/secrets/loop-guid" });
  await clouds.fault("graph", "html", { method: "POST", path: "/sendMail" });
  operation = await platform.onboard(contoso);
  await clouds.fault("graph", "500", { method: "POST", path: "/addPassword" });
  await platform.fire("sweepCredentials");
  rotation = await platform.untilEndedOf("rotation", contoso);

  for (const [name, { versions }] of clouds.platform.collection<{ versions: { value: string }[] }>("vault.secrets").entries())
    for (const [index, { value }] of versions.entries()) secrets.set(`${name} ${index}`, value);
  for (const { clientId, clientSecret } of clouds.clients) secrets.set(`client secret of ${clientId}`, clientSecret);
  for (const [index, token] of issued.entries()) secrets.set(`token ${index}`, token);
  secrets.set("managed identity's header", clouds.identity.header);
  secrets.set("broker's key", /SharedAccessKey=([^;]+)/.exec(bus.connectionString)?.[1] ?? "");
});
afterAll(async () => {
  await platform.stop();
  rmSync(directory, { recursive: true });
});

const seenIn = (text: string): string[] => secretsSeen(text, secrets);

test("onboarding and rotation went well although things went wrong, and there were secrets to lose", () => {
  expect([operation, rotation]).toMatchObject([{ status: "Succeeded" }, { status: "Succeeded" }]);
  const names = [...secrets.keys()];
  expect(
    names.filter((name) => /loop-guid|gateway-admin-password|webclient-client-secret|signing-key|client secret/.test(name))
      .length,
  ).toBeGreaterThan(6);
  expect(names.filter((name) => name.startsWith("token")).length).toBeGreaterThan(5);
  expect([...secrets.values()].every((value) => value.length >= 16)).toBe(true);
});

test("the audit log has every change, begun once and ended once, although things went wrong", () =>
  expectWholeLog(platform, contoso));

describe("no secret is seen", () => {
  const places: [string, () => string | Promise<string>][] = [
    ["in the host's durable state", () => filesIn(directory)],
    ["in the tables", tablesNow],
    ["in the blobs", blobsNow],
    ["in the record of requests, addresses included", async () => JSON.stringify(await platform.record())],
    ["in the run commands as they came: scripts, arguments, results", runCommands],
    ["in what the clouds show", cloudStates],
    ["in what the API shows", shown],
  ];
  test.each(places)("%s", async (_, read) => {
    const text = await read();
    expect(text).toContain(tenantId);
    expect(seenIn(text)).toEqual([]);
  });

  test("in the logs, which do tell what went wrong", () => {
    const text = platform.logged.join("\n");
    expect(text).toContain("an activity failed");
    expect(seenIn(text)).toEqual([]);
  });

  test("in the broker's queues, beside which it keeps its own key", () => {
    const text = filesIn(path.join(directory, "service-bus"));
    expect(text).toContain(tenantId);
    expect(seenIn(text)).toEqual(["broker's key"]);
    expect(seenIn(JSON.stringify(platform.bus.state()))).toEqual([]);
  });

  test("and whoever looks would find one in any encoding, packed or not", () => {
    const [name = "", value = ""] = [...secrets].find(([one]) => one.includes("loop-guid")) ?? [];
    for (const form of formsOf(value)) expect(seenIn(`{"text":"${form}"}`)).toContain(name);
    expect(seenIn(Buffer.from(`X-iqsuite-process: ${value}`).toString("base64"))).toContain(name);
  });
});

/** As Azure keeps them, with nothing redacted: what a run command has stays on the machine's disk. */
function runCommands(): string {
  const kept = platform.clouds.platform
    .collection<{ body: { properties: { source: { script: string }; parameters: unknown[] } } }>(
      "arm.microsoft.compute/virtualmachines/runcommands",
    )
    .values();
  expect(kept.every(({ body: { properties } }) => properties.source.script !== "" && properties.parameters.length > 0)).toBe(
    true,
  );
  return JSON.stringify(kept);
}

async function cloudStates(): Promise<string> {
  const names = ["entra", "arm", "vault", "graph", "exchange", "dns", "mail"] as const;
  return JSON.stringify(await Promise.all(names.map((name) => platform.clouds.state(name))));
}

async function shown(): Promise<string> {
  const { northwind } = platform;
  const answers = [
    await northwind.getTenant({ tenantId }),
    await northwind.getOperation({ operationId: operation.id }),
    await northwind.getOperation({ operationId: rotation.id }),
    await northwind.listCredentials({ tenantId }),
    await northwind.listGateways({}),
    await northwind.listEvents({}),
    await northwind.listOperations({ tenantId }),
    await northwind.listAudit({ tenantId, maxpagesize: 200 }),
    await northwind.planOnboarding({ tenantId }),
  ];
  return JSON.stringify(answers.map(({ body, headers }) => ({ body, headers: [...headers] })));
}
