/**
 * A storage account of a test file's own on the test run's Azurite. Sweeps look at everything that an account has, so in a common one the
 * rotation of one file's app took hold of the tenants of another file's.
 */
import { inject } from "vitest";
import { AZURITE_ACCOUNT } from "../../infra/local/azurite.ts";

/** Vitest counts its workers, and each file has a worker of its own. */
export const ownAccountOf = (worker: string): string => `test${worker}`;

/** Its connection string. */
export const ownAccount = (): string =>
  inject("azurite").replaceAll(AZURITE_ACCOUNT, ownAccountOf(process.env["VITEST_WORKER_ID"] ?? "1"));
