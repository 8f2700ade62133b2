/** The app as it is, but for hands that a test swaps: what it registers is called through them. */
import { app } from "@azure/functions";
import { handOf } from "../mutants.ts";

await import("../../../functions/index.ts");

app.hook.preInvocation((call) => {
  const own = call.functionHandler;
  const hand = handOf(call.invocationContext.functionName);
  if (hand)
    call.functionHandler = (input: unknown, context) => hand(async (given = input) => own(given, context), input as never);
});
