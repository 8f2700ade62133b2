/** What tests order of the simulated Azure beyond faults of the wire: `/azure/…` of the control door. */
import type * as z from "zod";
import type { SimulatedRequest, SimulatedResponse } from "../simulator.ts";
import type { Estate } from "./estate.ts";
import { failureSchema, type Failures } from "./failures.ts";
import { narrowByHand, narrowedSchema } from "./network-security-groups.ts";
import { quotaSchema, setQuota } from "./quotas.ts";
import { drainSchema, type Throttle } from "./throttle.ts";

export interface Controlled {
  estate: Estate;
  failures: Failures;
  throttle: Throttle;
}

/** Undefined when there is no such request; throws what zod finds wrong with a body. */
export function answerControl(
  { estate, failures, throttle }: Controlled,
  { method, url, body }: Pick<SimulatedRequest, "method" | "url" | "body">,
): SimulatedResponse | undefined {
  const parsed = <Schema extends z.ZodType>(schema: Schema): z.output<Schema> => schema.parse(body);
  switch (`${method} ${url.pathname}`) {
    case "POST /azure/failures":
      return { status: 201, body: failures.plan(parsed(failureSchema)) };
    case "GET /azure/failures":
      return { status: 200, body: { value: failures.list() } };
    case "DELETE /azure/failures":
      failures.clear();
      return { status: 204 };
    case "POST /azure/throttling":
      throttle.drain(parsed(drainSchema));
      return { status: 204 };
    case "POST /azure/security-rules":
      return { status: 200, body: { changed: narrowByHand(estate, parsed(narrowedSchema)) } };
    case "POST /azure/quotas":
      setQuota(estate, parsed(quotaSchema));
      return { status: 204 };
    case "DELETE /azure/operations":
      return { status: 200, body: { forgotten: estate.operations.forget() } };
  }
  return undefined;
}
