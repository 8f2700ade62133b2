/** The bundle that is deployed is the app that is tested. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build } from "../../infra/build.ts";

const root = path.resolve(import.meta.dirname, "../..");
const read = async (...file: string[]): Promise<string> => await readFile(path.join(...file), "utf8");

describe("the bundle", () => {
  let folder = "";
  // Outside the repository, so that nothing can be found in its node_modules.
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), "gatehouse-bundle-"));
    await build(folder);
  });
  afterAll(async () => await rm(folder, { recursive: true, force: true }));

  test("registers the functions of the golden list, under the same names", async () => {
    const { Values: settings } = JSON.parse(await read(root, "local.settings.sample.json"));
    const script = path.join(import.meta.dirname, "list-functions.ts");
    const { stdout } = await promisify(execFile)(process.execPath, [script, folder], { env: { ...process.env, ...settings } });
    const golden = (await read(root, "test/presubmit/function-names.txt")).trim().split("\n");
    expect(stdout.trim().split("\n").toSorted()).toEqual(golden);
  });

  test("is published as it is: a manifest that needs no installation, and the host's settings", async () => {
    const manifest = JSON.parse(await read(folder, "package.json"));
    expect(manifest).toMatchObject({ type: "module", main: "index.js" });
    expect(manifest.dependencies).toBeUndefined();
    expect(await read(folder, "host.json")).toBe(await read(root, "host.json"));
  });

  test("finds the files that sources read beside them", async () => {
    const scripts = (await readdir(folder)).filter((file) => file.endsWith(".js"));
    const addresses = (await Promise.all(scripts.map((file) => read(folder, file)))).flatMap((code) =>
      [...code.matchAll(/new URL\("(\.[^"]+)", import\.meta\.url\)/g)].map(([, file = ""]) => file),
    );
    expect(addresses.filter((file) => !existsSync(path.join(folder, file)))).toEqual([]);
    expect(addresses).toContain("./assets/engine.ps1");
  });

  test("holds whatever its parts ask for, also those that are loaded later", async () => {
    const parts = (await readdir(folder)).filter((file) => file.endsWith(".js") && file !== "index.js");
    const imports = parts.map((file) => `await import(${JSON.stringify(path.join(folder, file))});`).join("\n");
    const { stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", imports], { cwd: folder });
    expect(stderr).toBe("");
  });

  test("reads no Azure resource management SDK before it is needed", async () => {
    const entry = await read(folder, "index.js");
    const eager = [...entry.matchAll(/^import (?:[^"]* from )?"(\.[^"]+)"/gm)].map(([, file = ""]) => file);
    const code = (await Promise.all(eager.map((file) => read(folder, file)))).concat(entry);
    expect(code.filter((text) => text.includes("node_modules/@azure/arm-"))).toEqual([]);
  });
});
