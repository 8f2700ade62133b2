/**
 * Hands that make an installation whole that a person made: whose mail its forwarding rule sends to the gateway stays until that is proven,
 * but for the probe mailbox's, which has to go there. Pure.
 */
import type { Completion } from "../desired/completion.ts";
import type { Hands } from "./runbook.ts";

export const handsCompleting = <Wait>(hands: Hands<Wait>, { forwarding }: Completion): Hands<Wait> => ({
  ...hands,
  *ensure(kind, step, wanted, attempt) {
    const found = step === "forwardingRule" ? { found: forwarding } : {};
    return yield* hands.ensure(kind, step, { ...wanted, ...found }, attempt);
  },
});
