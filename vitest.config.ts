/**
 * Five suites: `suite` is `npm test`, `presubmit` is the part of `npm run check` that looks at the repository itself, `whole` takes minutes, `faults` longer,
 * `live` asks an app that runs elsewhere.
 */
import { defineConfig } from "vitest/config";

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
    maxWorkers: "100%",
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
