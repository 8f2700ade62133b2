/** `POST /admin/functions/{name}`: runs a timer or queue function now, as Azure's admin API does (azure-functions-host, FunctionController.cs). */

import type { RegisteredFunction } from "./functions-core.ts";
import type { DurableReply } from "./durable-http.ts";
import type { ServiceBusTrigger } from "./service-bus-trigger.ts";
import type { Timers } from "./timer-trigger.ts";

export interface AdministrationOptions {
  functions: ReadonlyMap<string, RegisteredFunction>;
  timers: Pick<Timers, "run">;
  serviceBus: Pick<ServiceBusTrigger, "run">;
  /** What the function throws after the answer. */
  failed: (name: string, error: unknown) => void;
}

export interface Administration {
  /** @param body JSON with `input`: for a queue function the message's text */
  invoke(name: string, body: string): DurableReply;
  /** Resolves when what was begun here has ended. */
  stop(): Promise<void>;
}

export function createAdministration({ functions, timers, serviceBus, failed }: AdministrationOptions): Administration {
  const running = new Set<Promise<void>>();

  function begin(name: string, call: Promise<void>): DurableReply {
    const ended = call.catch((error: unknown) => failed(name, error)).finally(() => running.delete(ended));
    running.add(ended);
    return { status: 202 };
  }

  return {
    invoke(asked, body) {
      const found = [...functions.values()].find(({ name }) => name.toLowerCase() === asked.toLowerCase());
      if (!found) return { status: 404, body: { message: `there is no function '${asked}'` } };
      const input = inputIn(body);
      if (input === undefined) return { status: 400, body: { message: 'the body is JSON such as {"input": "…"}' } };
      const { name, trigger } = found;
      const type = trigger.type.toLowerCase();
      if (type === "timertrigger") return begin(name, timers.run(name));
      if (type === "servicebustrigger") return begin(name, serviceBus.run(name, input));
      return { status: 400, body: { message: `'${name}' has a ${trigger.type}: only timers and queues are run from here` } };
    },
    async stop() {
      await Promise.all(running);
    },
  };
}

function inputIn(body: string): string | undefined {
  try {
    const { input = "" } = (body === "" ? {} : JSON.parse(body)) as { input?: unknown };
    return typeof input === "string" ? input : JSON.stringify(input);
  } catch {
    return undefined;
  }
}
