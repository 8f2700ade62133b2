/** `npm start`: the whole platform on this machine, and the example tenant onboarded from nothing to proven mail flow. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ApiError, type ApiClient, createClient } from "../../shared/api/client.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { makeCustomer, onboardFromFile, type TenantFile } from "./customer.ts";
import { parseFlags, usage } from "./flags.ts";
import { type ApiCredentials, type LocalPlatform, startPlatform } from "./platform.ts";
import { describeRefusal, summaryOf } from "./summary.ts";
import { tokenSource } from "./tokens.ts";

/** Customers that the simulated world has from the start. */
const examples = ["contoso", "fabrikam"].map((name) => fileURLToPath(new URL(`../../examples/${name}.json`, import.meta.url)));

const say = (line = ""): void => void process.stdout.write(`${line}\n`);

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${describeRefusal(error)}\n`);
  return 1;
});

async function main(): Promise<number> {
  const flags = readFlags();
  if (flags === "help") {
    say(usage);
    return 0;
  }
  const files = flags.tenants.map(readTenantFile);
  say("Starting simulated clouds, storage and the app …");
  const platform = await startPlatform({ data: flags.data, fresh: flags.fresh, port: flags.port, say });
  const stopped = stopOnSignal(platform);
  try {
    await registerPartners(platform);
    for (const example of examples) await makeCustomer(platform.control, tenantSpecSchema.parse(readTenantFile(example).spec));
    say(`API ready at ${platform.api}, its reference at ${platform.api}/api/openapi.json\n`);
    const partner = apiOf(
      platform,
      platform.clients.find(({ role }) => role === "partner"),
    );
    let failed = false;
    for (const file of files) failed = !(await onboardOne(platform, partner, file, flags.ask)) || failed;
    if (flags.once) return failed ? 1 : 0;
    say(`Running. Ctrl+C stops it; state is kept in ${flags.data}.`);
    await stopped;
    return 0;
  } finally {
    await platform.stop();
  }
}

function readFlags(): ReturnType<typeof parseFlags> {
  try {
    return parseFlags(process.argv.slice(2));
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : error}\n\n${usage}`, { cause: error });
  }
}

/** Only that it is a JSON object is looked at here: what is wrong in it, the API says. */
function readTenantFile(path: string): TenantFile {
  const fail = (why: string, cause?: unknown): never => {
    throw new Error(`reading tenant file ${path}: ${why}`, { cause });
  };
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error), error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return fail("must be a JSON object; examples/contoso.json shows one");
  const { tenantId, ...spec } = value as Record<string, unknown>;
  if (typeof tenantId !== "string") return fail("`tenantId` must be a string such as contoso");
  return { path, tenantId, spec };
}

/** The operator's part: who may use this platform. */
async function registerPartners(platform: LocalPlatform): Promise<void> {
  const operator = apiOf(
    platform,
    platform.clients.find(({ role }) => role === "operator"),
  );
  for (const { role, partnerId, tenantId, clientId } of platform.clients) {
    if (role !== "partner" || !partnerId) continue;
    await operator.putPartner({ partnerId, body: { displayName: partnerId, entraTenantId: tenantId, clientId } });
  }
}

function apiOf({ api }: LocalPlatform, credentials: ApiCredentials | undefined): ApiClient {
  if (!credentials) throw new Error("the platform has no client of that role");
  return createClient({ baseUrl: api, token: tokenSource(credentials) });
}

/** False when it failed; the reason has been said. */
async function onboardOne(platform: LocalPlatform, partner: ApiClient, file: TenantFile, ask: boolean): Promise<boolean> {
  try {
    const operation = await onboardFromFile({ partner, control: platform.control, file, ask, output: process.stdout });
    say(summaryOf(operation, platform));
    return operation.status === "Succeeded";
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    process.stderr.write(`${file.path} was refused, and nothing was created:\n${describeRefusal(error)}\n`);
    return false;
  }
}

function stopOnSignal(platform: LocalPlatform): Promise<void> {
  return new Promise((resolve) => {
    let stopping = false;
    const stop = (): void => {
      if (stopping) process.exit(1); // a second Ctrl+C doesn't wait
      stopping = true;
      say("\nStopping …");
      platform.stop().then(
        () => {
          resolve();
          process.exit(0);
        },
        () => process.exit(1),
      );
    };
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
  });
}
