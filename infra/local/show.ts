/** `npm run --silent show -- STORY`: lets something happen in the simulated clouds of a running platform, and shows what Gatehouse does about it. */
import { parseArgs } from "node:util";
import { ApiError, createClient } from "../../shared/api/client.ts";
import { defaultData, exampleTenant } from "./flags.ts";
import { createScreen } from "./progress.ts";
import { runningPlatform, signIn } from "./running.ts";
import { showListing } from "./stories/listing.ts";
import { showOutage } from "./stories/outage.ts";
import { showQueue } from "./stories/queue.ts";
import { showRotation } from "./stories/rotation.ts";
import { showWebhook } from "./stories/webhook.ts";
import { createStory, type Story } from "./stories/story.ts";
import { describeRefusal } from "./summary.ts";
import { throughRestarts } from "./through-restarts.ts";

const stories: Record<string, (story: Story) => Promise<void>> = {
  listing: showListing,
  rotation: showRotation,
  outage: showOutage,
  webhook: showWebhook,
  queue: showQueue,
};

const usage = `What happens after the onboarding, on a platform that npm start keeps running in another terminal.

  npm run --silent show -- listing    a blocklist has the gateway's address: a case opens, is worked on and closes
  npm run --silent show -- rotation   a client secret nears its expiry: a new one takes its place, the old one is revoked
  npm run --silent show -- outage     the gateway's machine is stopped and started: condition and events
  npm run --silent show -- webhook    the same is told to a server of the partner, which verifies the signature
  npm run --silent show -- queue      mail waits in the gateway's queue: heartbeats, health, event and webhook; five minutes or more

Flags:
  --tenant ID   an onboarded tenant of the partner northwind (default ${exampleTenant})
  --data DIR    the platform's folder (default .local/)
  --help        this text

Exit code 0 when the story came to its end, 1 when not.`;

async function main(): Promise<void> {
  const { name, tenantId, data, help } = readArguments(process.argv.slice(2));
  const screen = createScreen(process.stdout);
  if (help) return screen.say(usage);
  const show = stories[name];
  if (!show) throw new Error(`${name === "" ? "which story?" : `there is no story ${name}.`}\n\n${usage}`);
  const platform = runningPlatform(data);
  const { token, credentials } = await signIn(platform, "partner", data);
  const partner = throughRestarts(createClient({ baseUrl: platform.api, token }));
  const partnerId = credentials.partnerId ?? "";
  await show(await createStory({ platform, partner, partnerId, tenantId, screen, data }));
}

function readArguments(args: string[]): { name: string; tenantId: string; data: string; help: boolean } {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      tenant: { type: "string", default: exampleTenant },
      data: { type: "string", default: defaultData },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  return { name: positionals.join(" "), tenantId: values.tenant, data: values.data, help: values.help };
}

try {
  await main();
  process.exit(0);
} catch (error) {
  process.stderr.write(`${error instanceof ApiError ? `the API refused:\n${describeRefusal(error)}` : describeRefusal(error)}\n`);
  process.exit(1);
}
