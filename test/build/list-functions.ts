/** Loads the app in a folder as Azure does and prints what it registers, one `kind name` a line: `node list-functions.ts FOLDER`. */
import path from "node:path";
import { loadApp } from "../../infra/local/functions-host/app-loader.ts";
import { createApp } from "../../infra/local/functions-host/functions-core.ts";

const app = createApp({ directory: path.resolve(process.argv[2] ?? "."), log: () => undefined });
await loadApp(app);
const lines = [...app.functions.values()].map(({ name, trigger }) => `${trigger.type.replace(/Trigger$/, "")} ${name}\n`);
// All of it has to be out before the process ends.
process.stdout.write(lines.join(""), () => process.exit(0));
