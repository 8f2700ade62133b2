/** Loads an app as Azure's worker does: every file that package.json's `main` names is imported and registers its functions. */

import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { FunctionsSystemError, requireProgrammingModel, withApp } from "./functions-core.ts";
import type { FunctionApp } from "./functions-core.ts";
import { runHooks } from "./invocation.ts";

export async function loadApp(app: FunctionApp): Promise<void> {
  const files = entryFiles(app.directory);
  await withApp(app, async () => {
    for (const file of files) await importFresh(file);
    await runHooks(app.hooks.appStart, { functionAppDirectory: app.directory, hookData: {}, appHookData: app.hookData });
  });
  if (app.functions.size === 0) throw new FunctionsSystemError(`${files.join(", ")} registered no function`);
  const capabilities = await requireProgrammingModel().getCapabilities({});
  if (capabilities["HttpUri"]) {
    // The library's own streaming server listens on all interfaces and checks nobody.
    throw new FunctionsSystemError("this host runs HTTP functions without streams: remove app.setup({ enableHttpStream: true })");
  }
  app.locked = true;
}

function entryFiles(directory: string): string[] {
  const manifest = path.join(directory, "package.json");
  if (!existsSync(manifest)) throw new FunctionsSystemError(`no package.json in ${directory}`);
  const { main } = JSON.parse(readFileSync(manifest, "utf8")) as { main?: string };
  if (!main) throw new FunctionsSystemError(`${manifest} has no "main"`);
  const files = globSync(main, { cwd: directory }).toSorted();
  if (files.length === 0) throw new FunctionsSystemError(`the entry point "${main}" of ${manifest} was not found`);
  return files.map((file) => path.join(directory, file));
}

const loads = new Map<string, number>();

/** A module is evaluated once a process, so a later host asks for the entry file under another address and registers afresh. */
async function importFresh(file: string): Promise<void> {
  const times = loads.get(file) ?? 0;
  loads.set(file, times + 1);
  const address = pathToFileURL(file).href;
  await import(times === 0 ? address : `${address}?load=${times}`);
}
