/** `npm start`: the whole platform on this machine, and the example tenant onboarded from nothing to proven mail flow. */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type ApiClient, ApiError, createClient } from "../../shared/api/client.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { makeCustomer, onboardFromFile, type TenantFile } from "./customer.ts";
import { defaultData, type Flags, parseFlags, usage } from "./flags.ts";
import { type ApiCredentials, createPlatform, type LocalPlatform, type Platform } from "./platform.ts";
import { createScreen } from "./progress.ts";
import { playLife } from "./stories/life.ts";
import { describeRefusal, summaryOf } from "./summary.ts";
import { throughRestarts } from "./through-restarts.ts";
import { tokenSource } from "./tokens.ts";

/** Customers that the simulated world has from the start. */
const examples = ["contoso", "fabrikam"].map((name) => fileURLToPath(new URL(`../../examples/${name}.json`, import.meta.url)));

const screen = createScreen(process.stdout);
/** All that was asked for is done, and the platform stays: to end it is no failure. */
let staying = false;

async function main(): Promise<number> {
  const flags = readFlags();
  if (flags === "help") {
    screen.say(usage);
    return 0;
  }
  const files = flags.tenants.map(readTenantFile);
  const platform = createPlatform({ ...flags, say: screen.say });
  const broken = platform.broken.then((error) => Promise.reject(error));
  try {
    return await Promise.race([run(flags, files, platform), interrupted(), broken]);
  } finally {
    await platform.stop();
  }
}

/** Everything in turn; with the flags as given it may never end by itself. */
async function run({ data, ask, once, idle, story }: Flags, files: TenantFile[], platform: Platform): Promise<number> {
  screen.say("Starting simulated clouds, storage, the message broker and the app …");
  const local = await platform.start();
  await registerPartners(local);
  for (const example of examples) await makeCustomer(local.control, tenantSpecSchema.parse(readTenantFile(example).spec));
  platform.publish();
  screen.say(`API ready at ${local.api}, its reference at ${local.api}/api/openapi.json\n`);

  const partner = apiOf(local, "partner");
  const dataFlag = data === defaultData ? "" : `--data ${quoted(data)}`;
  let failed = false;
  let refused = 0;
  if (story) failed = !(await playLife({ partner, control: local.control, screen, data, file: storyOf(examples) }));
  for (const file of files) {
    try {
      const operation = await onboardFromFile({ partner, control: local.control, file, ask, screen });
      screen.say(summaryOf(operation, { ...local, dataFlag, stays: !once }));
      failed ||= operation.status !== "Succeeded";
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      screen.say(`${file.path} was refused, and nothing was created:\n${describeRefusal(error)}\n`);
      failed = true;
      refused++;
    }
  }
  if (refused > 0 && refused === files.length) return 1; // nothing has begun that one could look at
  const inside = relative(process.cwd(), data);
  const folder = inside.startsWith("..") ? data : inside;
  if (!once) {
    staying = true;
    screen.say(`${idle || story ? "Nobody is onboarded. " : ""}Running until Ctrl+C; state is kept in ${folder}.`);
    return new Promise(() => undefined);
  }
  screen.say(`Stopping; state is kept in ${folder}. To look around, start it again and let it run:\n  ${commandThatStays()}`);
  return failed ? 1 : 0;
}

/** The example tenant, with the mail to its pilot going through the gateway too. */
function storyOf([example = ""]: string[]): TenantFile {
  const { spec, ...file } = readTenantFile(example);
  return { ...file, spec: { ...spec, pilot: { ...(spec["pilot"] as object), incoming: true } } };
}

/** The same command without what makes it end or forget. */
function commandThatStays(): string {
  const flags = process.argv.slice(2).filter((argument) => !["--once", "--fresh", "--story"].includes(argument));
  return ["npm start", ...(flags.length > 0 ? ["--", ...flags.map(quoted)] : [])].join(" ");
}

/** As a shell takes it. */
const quoted = (word: string): string => (/^[\w./=:-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** Ctrl+C, and what service managers send. The exit code of what wasn't finished says which, as shells do. */
const interrupted = (): Promise<number> =>
  new Promise((resolve) => {
    let first = true;
    const stop = (code: number): void => {
      if (!first) process.exit(code); // a second Ctrl+C doesn't wait; the children end with us
      first = false;
      screen.say("\nStopping …");
      resolve(staying ? 0 : code);
    };
    process.on("SIGINT", () => stop(130));
    process.on("SIGTERM", () => stop(143));
    process.on("SIGHUP", () => stop(129));
    whenNpmIsGone(() => stop(143));
  });

/** npm hands SIGTERM to its shell only, which ends without telling us: we notice that we have another parent. */
function whenNpmIsGone(then: () => void): void {
  if (process.env["npm_lifecycle_event"] === undefined) return;
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    then();
  }, 300);
}

function readFlags(): ReturnType<typeof parseFlags> {
  try {
    return parseFlags(process.argv.slice(2));
  } catch (error) {
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`, { cause: error });
  }
}

/** Only that it is a JSON object is looked at here: what is wrong in it, the API says. */
function readTenantFile(path: string): TenantFile {
  const fail = (why: string, cause?: unknown): never => {
    throw new Error(`reading tenant file ${path}: ${why}. Nothing was started.`, { cause });
  };
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const missing = error instanceof Error && "code" in error && error.code === "ENOENT";
    return fail(
      missing ? "there is no such file; give the path of a file such as examples/contoso.json" : messageOf(error),
      error,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return fail(`it is not JSON (${messageOf(error)}); examples/contoso.json shows how it has to look`, error);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value))
    return fail("it must be a JSON object; examples/contoso.json shows one");
  const { tenantId, ...spec } = value as Record<string, unknown>;
  if (typeof tenantId !== "string") return fail("`tenantId` must be a string such as contoso");
  return { path, tenantId, spec };
}

/** The operator's part: who may use this platform. */
async function registerPartners(local: LocalPlatform): Promise<void> {
  const operator = apiOf(local, "operator");
  for (const { role, partnerId, tenantId, clientId } of local.clients) {
    if (role !== "partner" || !partnerId) continue;
    await operator.putPartner({ partnerId, body: { displayName: partnerId, entraTenantId: tenantId, clientId } });
  }
}

function apiOf({ api, clients }: LocalPlatform, role: ApiCredentials["role"]): ApiClient {
  const credentials = clients.find((one) => one.role === role);
  if (!credentials) throw new Error(`the platform has no ${role}`);
  return throughRestarts(createClient({ baseUrl: api, token: tokenSource(credentials) }));
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

try {
  process.exit(await main());
} catch (error) {
  process.stderr.write(`${describeRefusal(error)}\n`);
  process.exit(1);
}
