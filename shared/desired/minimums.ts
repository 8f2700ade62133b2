/** How large each kind of machine has to be: pure, so that plans and orchestrations mean the same. */
import type { Minimum } from "../azure/sizes.ts";

/** Manual, chapter 2.2.1: at least the recommended A4_v2's processors and memory. */
export const GATEWAY_MINIMUM: Minimum = { virtualCpus: 4, memoryInGigabytes: 7 };

/** Mission E5. The product's page says "under 300" and "over 300"; exactly 300 takes the larger. */
export const ucmMinimum = (mailboxes: number): Minimum =>
  mailboxes < 300 ? { virtualCpus: 2, memoryInGigabytes: 4 } : { virtualCpus: 4, memoryInGigabytes: 8 };
