/**
 * Five suites: `suite` is `npm test`, `presubmit` is the part of `npm run check` that looks at the repository itself, `whole` takes minutes, `faults` longer,
 * `live` asks an app that runs elsewhere.
 */
import { availableParallelism } from "node:os";
import { defineConfig } from "vitest/config";
import { compileCache } from "./infra/local/processes.ts";

// Each test file is a process of its own, and some start further ones: what one has compiled, the next needn't.
process.env["NODE_COMPILE_CACHE"] ??= compileCache;

/** Starts Azurite once for all files, on free ports. */
const globalSetup = ["test/support/global-setup.ts"];

const common = {
  environment: "node" as const,
  // A process for each file: the host hooks `Module.prototype.require` before the app is imported, once in a process.
  pool: "forks" as const,
  testTimeout: 30_000,
  hookTimeout: 60_000,
};

export default defineConfig({
  test: {
    // Many a test waits for a process that starts or a lock that ends: one more than there are cores.
    maxWorkers: availableParallelism() + 1,
    projects: [
      {
        test: {
          ...common,
          name: "suite",
          include: ["test/**/*.test.ts"],
          exclude: ["test/presubmit/**", "test/faults/**", "test/whole/**", "test/browser/**", "test/bench/**"],
          globalSetup,
        },
      },
      // `suite` runs the same file against an app of its own. Vite has a BASE_URL for itself, so ours goes by another name.
      {
        test: {
          ...common,
          name: "live",
          include: ["test/live/**/*.test.ts"],
          env: { LIVE_URL: process.env["BASE_URL"] ?? "", LIVE_TOKEN: process.env["TOKEN"] ?? "" },
        },
      },
      { test: { ...common, name: "presubmit", include: ["test/presubmit/**/*.test.ts"] } },
      { test: { ...common, name: "whole", include: ["test/whole/**/*.test.ts"], globalSetup } },
      { test: { ...common, name: "faults", include: ["test/faults/**/*.test.ts"], testTimeout: 600_000, globalSetup } },
    ],
  },
});
