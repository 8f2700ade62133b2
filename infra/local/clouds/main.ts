/** The process of the simulated clouds: prints one line of JSON when ready, with every address, and runs until it is told to stop. */
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { parseArgs } from "node:util";
import { type CloudsOptions, createClouds } from "./clouds.ts";

const usage = `Simulated clouds: Entra, Azure Resource Manager, Key Vault, Microsoft Graph, Exchange Online, DNS and the mail internet.

  node infra/local/clouds/main.ts [--data DIR] [--tempo N] [--application ID] [--home-tenant ID]
                                  [--managed-identity ID] [--redirect URL ...]

  --data DIR             keep state and certificates there, and find them again; without it nothing is kept
  --tempo N              multiplies modelled durations: 1 as modelled (default), 0 at once
  --application ID       client id of the multi-tenant application
  --home-tenant ID       its Entra tenant
  --managed-identity ID  client id of the function app's user-assigned managed identity
  --redirect URL         where admin consent may lead back to; may be given several times. The port of an http
                         loopback address doesn't count. Default: /api/consent/callback on localhost and 127.0.0.1

The environment's SERVICE_BUS is the connection string of the Service Bus that Key Vault's events are delivered to; it has a key, and
command lines can be read by everybody on the machine.

When ready it prints one line of JSON: ready, pid, environment, entra, arm, graph, exchange, vault, platformVault, dns,
identity, control, ca, application, clients.`;

try {
  const options = readOptions(process.argv.slice(2));
  if (options === "help") process.stdout.write(`${usage}\n`);
  else await run(options);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1); // doors that were opened before the failure would keep the process
}

async function run(options: CloudsOptions): Promise<void> {
  const clouds = await createClouds(options);
  const { environment, entra, arm, graph, exchange, vault, platformVault, dns, identity, control, ca, application, clients } =
    clouds;
  // A simulated machine reads its vault over HTTPS, from this very process.
  setDefaultCACertificates([...getCACertificates("default"), clouds.platform.certificates.authority]);
  let stopping = false;
  const end = (): void => {
    if (stopping) return;
    stopping = true;
    clouds.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`stopping: ${error instanceof Error ? error.stack : String(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", end);
  process.on("SIGINT", end);
  const addresses = { environment, entra, arm, graph, exchange, vault, platformVault, dns, identity, control, ca };
  process.stdout.write(`${JSON.stringify({ ready: true, pid: process.pid, ...addresses, application, clients })}\n`);
}

function readOptions(args: string[]): CloudsOptions | "help" {
  const { values } = parseArgs({
    args,
    options: {
      help: { type: "boolean", short: "h" },
      data: { type: "string" },
      tempo: { type: "string" },
      application: { type: "string" },
      "home-tenant": { type: "string" },
      "managed-identity": { type: "string" },
      redirect: { type: "string", multiple: true },
    },
  });
  if (values.help) return "help";
  const serviceBus = process.env["SERVICE_BUS"];
  const tempo = Number(values.tempo ?? 1);
  if (!(tempo >= 0)) throw new Error(`--tempo must be a number of at least 0, not ${values.tempo}`);
  return {
    tempo,
    tasks: true,
    ...(values.data === undefined ? {} : { directory: values.data }),
    ...(values.application === undefined ? {} : { applicationId: values.application }),
    ...(values["home-tenant"] === undefined ? {} : { homeTenantId: values["home-tenant"] }),
    ...(values["managed-identity"] === undefined ? {} : { managedIdentityClientId: values["managed-identity"] }),
    ...(values.redirect === undefined ? {} : { redirectUris: values.redirect }),
    ...(serviceBus === undefined ? {} : { serviceBus }),
  };
}
