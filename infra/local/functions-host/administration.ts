/** The admin API: the host's state, its functions, and timers and queue functions run now (azure-functions-host, FunctionsController.cs). */

import { HOST_VERSION } from "./functions-core.ts";
import type { RegisteredFunction } from "./functions-core.ts";
import type { DurableReply } from "./durable-http.ts";
import type { ServiceBusTrigger } from "./service-bus-trigger.ts";
import type { Timers } from "./timer-trigger.ts";

export interface AdministrationOptions {
  functions: ReadonlyMap<string, RegisteredFunction>;
  timers: Pick<Timers, "run">;
  serviceBus: Pick<ServiceBusTrigger, "run">;
  /** Base of the app's own address, without a slash at the end. */
  url: string;
  hostId: string;
  /** What the function throws after the answer. */
  failed: (name: string, error: unknown) => void;
}

export interface Administration {
  /** @param body JSON with `input`: for a queue function the message's text */
  invoke(name: string, body: string): DurableReply;
  /** @param name without it, all functions */
  show(name: string | undefined): DurableReply;
  status(): DurableReply;
  /** Resolves when what was begun here has ended. */
  stop(): Promise<void>;
}

export function createAdministration(options: AdministrationOptions): Administration {
  const { functions, timers, serviceBus, url, hostId, failed } = options;
  const running = new Set<Promise<void>>();
  /** Names are compared as the host does, without regard to case. */
  const find = (asked: string): RegisteredFunction | undefined =>
    [...functions.values()].find(({ name }) => name.toLowerCase() === asked.toLowerCase());
  const missing = (asked: string): DurableReply => ({ status: 404, body: { message: `there is no function '${asked}'` } });

  /** A part of FunctionMetadataResponse.cs. */
  const described = ({ name, bindings }: RegisteredFunction): object => ({
    name,
    href: `${url}/admin/functions/${name}`,
    language: "node",
    isDisabled: false,
    config: { bindings: Object.entries(bindings).map(([bindingName, binding]) => ({ name: bindingName, ...binding })) },
  });

  function begin(name: string, call: Promise<void>): DurableReply {
    const ended = call.catch((error: unknown) => failed(name, error)).finally(() => running.delete(ended));
    running.add(ended);
    return { status: 202 };
  }

  return {
    invoke(asked, body) {
      const found = find(asked);
      if (!found) return missing(asked);
      const input = inputIn(body);
      if (input === undefined) return { status: 400, body: { message: 'the body is JSON such as {"input": "…"}' } };
      const { name, trigger } = found;
      const type = trigger.type.toLowerCase();
      if (type === "timertrigger") return begin(name, timers.run(name));
      if (type === "servicebustrigger") return begin(name, serviceBus.run(name, input));
      return { status: 400, body: { message: `'${name}' has a ${trigger.type}: only timers and queues are run from here` } };
    },
    show(asked) {
      if (asked === undefined) return { status: 200, body: [...functions.values()].map(described) };
      const found = find(asked);
      return found ? { status: 200, body: described(found) } : missing(asked);
    },
    // HostStatus.cs; whoever is answered finds the host running.
    status: () => ({
      status: 200,
      body: { id: hostId, state: "Running", version: HOST_VERSION, processUptime: Math.round(process.uptime() * 1000) },
    }),
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
