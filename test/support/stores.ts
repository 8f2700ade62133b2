/** The app's own stores on the test run's Azurite, with names that no other test has. */
import { randomUUID } from "node:crypto";

import { type Clock, systemClock } from "../../shared/clock.ts";
import { createStores, type Stores } from "../../shared/stores/stores.ts";
import { ownAccount } from "./own-account.ts";

const noCredential = { getToken: () => Promise.reject(new Error("a connection string needs no credential")) };

export const testStores = (clock: Clock = systemClock): Stores =>
  createStores({ storage: { connection: ownAccount() }, credential: noCredential, clock });

/** A valid partner or tenant id beginning with these letters. */
export const unique = (name: string): string => `${name}-${randomUUID().slice(0, 8)}`;
