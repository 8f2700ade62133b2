/** Bundles the app into one folder that can be published as it is: `npm run build` writes dist/, `-- --out DIR` another. */
import { copyFile, mkdir, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { parseArgs } from "node:util";
import { type BuildResult, build as bundle, type Plugin } from "esbuild";

const root = path.resolve(import.meta.dirname, "..");

/** Gives the files that were written, relative to the repository, with their sizes in bytes. */
export async function build(outDirectory: string): Promise<{ file: string; bytes: number }[]> {
  await rm(outDirectory, { recursive: true, force: true });
  const manifest = JSON.parse(await readFile(path.join(root, "package.json"), "utf8")) as Record<string, unknown>;
  const result: BuildResult<{ metafile: true }> = await bundle({
    absWorkingDir: root,
    entryPoints: { index: String(manifest["main"]) },
    outdir: outDirectory,
    bundle: true,
    platform: "node",
    target: "node22",
    format: "esm",
    // Azure's SDKs are imported where they are first used; splitting keeps them out of what a cold start reads.
    splitting: true,
    chunkNames: "[name]-[hash]",
    sourcemap: "linked",
    sourcesContent: false,
    // Function names are wire format, and minifying gains nothing on Node.
    keepNames: true,
    minify: false,
    external: ["@azure/functions-core"],
    // CommonJS packages in an ES module still ask for `require`; the worker provides @azure/functions-core through it.
    banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
    plugins: [assets(outDirectory)],
    metafile: true,
    logLevel: "warning",
  });
  const { name, version, license, engines } = manifest;
  await writeFile(
    path.join(outDirectory, "package.json"),
    `${JSON.stringify({ name, version, private: true, license, type: "module", main: "index.js", engines }, null, 2)}\n`,
  );
  await copyFile(path.join(root, "host.json"), path.join(outDirectory, "host.json"));
  return Object.entries(result.metafile.outputs).map(([file, { bytes }]) => ({ file, bytes }));
}

/**
 * A source reads a file beside it with `new URL("./engine.ps1", import.meta.url)`. In the bundle that address is another, so the file goes
 * to `assets/` and the address follows.
 */
const assets = (outDirectory: string): Plugin => ({
  name: "assets",
  setup(bundler) {
    bundler.onLoad({ filter: /\.ts$/ }, async ({ path: source }) => {
      const code = await readFile(source, "utf8");
      const files = [...code.matchAll(ASSET)].map(([, file = ""]) => file);
      if (source.includes("node_modules") || files.length === 0) return undefined;
      await mkdir(path.join(outDirectory, "assets"), { recursive: true });
      for (const file of files)
        await copyFile(path.resolve(path.dirname(source), file), path.join(outDirectory, "assets", path.basename(file)));
      const contents = code.replaceAll(ASSET, (_, file: string) => `new URL("./assets/${path.basename(file)}", import.meta.url)`);
      return { contents, loader: "ts" };
    });
  },
});

const ASSET = /new URL\("(\.[^"]+)", import\.meta\.url\)/g;

if (import.meta.main) {
  await main();
}

async function main(): Promise<void> {
  const { out, help } = parseArgs({
    options: {
      out: { type: "string", default: path.join(root, "dist") },
      help: { type: "boolean", short: "h", default: false },
    },
  }).values;
  if (help) return console.log("npm run build -- [--out DIR]   bundles the app into dist/, or DIR, which is emptied first");
  const written = (await build(path.resolve(out))).filter(({ file }) => file.endsWith(".js"));
  const total = written.reduce((sum, { bytes }) => sum + bytes, 0);
  const entry = written.find(({ file }) => path.basename(file) === "index.js");
  console.log(
    `${path.relative(process.cwd(), out)}: ${written.length} scripts, ${kilobytes(total)} in all, ${kilobytes(entry?.bytes ?? 0)} of them the entry`,
  );
}

function kilobytes(bytes: number): string {
  return `${Math.round(bytes / 1024)} kB`;
}
