/** One cold start, in a process of its own: loads what it is told and prints how long that took and what it needed. */
import { createRequire, registerHooks } from "node:module";
import { pathToFileURL } from "node:url";
import { createApp, withApp } from "../../infra/local/functions-host/functions-core.ts";

export interface Start {
  milliseconds: number;
  rssInBytes: number;
  functions: number;
  /** URLs of the files that were loaded, if asked for: that takes time of its own. */
  files: string[];
}

const [root = "", counting = "", ...wanted] = process.argv.slice(2);
const require = createRequire(pathToFileURL(`${root}/package.json`));
const files = new Set<string>();
if (counting === "count")
  registerHooks({
    load(url, context, next) {
      if (url.startsWith("file:")) files.add(url);
      return next(url, context);
    },
  });

const app = createApp({ log: () => undefined });
await withApp(app, async () => {
  const began = performance.now();
  for (const each of wanted) {
    if (each.endsWith(".js")) await import(pathToFileURL(each).href);
    else require(each);
  }
  const milliseconds = performance.now() - began;
  const start: Start = {
    milliseconds,
    rssInBytes: process.memoryUsage.rss(),
    functions: app.functions.size,
    files: [...files],
  };
  process.stdout.write(JSON.stringify(start));
});
process.exit(0);
