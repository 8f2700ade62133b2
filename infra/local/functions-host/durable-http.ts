/** The Durable extension's HTTP API, which the client of durable-functions calls (HttpApiHandler.cs of the extension). */

import { finished } from "./orchestration-step.ts";
import { DurableRefusal } from "./engine.ts";
import type { Engine } from "./engine.ts";
import { entityNameIn, schedulerIdOf } from "./entity-messages.ts";
import { EventType, eventTypeName } from "./history.ts";
import type { HistoryEvent } from "./history.ts";
import type { Instance } from "./store.ts";

export interface DurableRequest {
  method: string;
  /** Path below the API's base, for example `instances/onboarding-1`. */
  path: string;
  query: URLSearchParams;
  continuationToken: string | undefined;
  body: string;
}

export interface DurableReply {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

/**
 * What a durableClient input binding gets.
 * @param rpcUrl base of the loopback address, where the client itself calls
 * @param baseUrl base of the address that links lead to
 * @param key system key that the links carry
 */
export function clientBinding(hubName: string, rpcUrl: string, baseUrl = rpcUrl, key?: string) {
  const instance = `${baseUrl}runtime/webhooks/durabletask/instances/INSTANCEID`;
  const orchestrator = `${baseUrl}runtime/webhooks/durabletask/orchestrators/{functionName}[/{instanceId}]`;
  const query = `taskHub=${hubName}&connection=Storage${key === undefined ? "" : `&code=${key}`}`;
  return {
    taskHubName: hubName,
    creationUrls: {
      createNewInstancePostUri: orchestrator,
      createAndWaitOnNewInstancePostUri: `${orchestrator}?timeout={timeoutInSeconds}&pollingInterval={intervalInSeconds}`,
    },
    managementUrls: {
      id: "INSTANCEID",
      statusQueryGetUri: `${instance}?${query}`,
      sendEventPostUri: `${instance}/raiseEvent/{eventName}?${query}`,
      terminatePostUri: `${instance}/terminate?reason={text}&${query}`,
      rewindPostUri: `${instance}/rewind?reason={text}&${query}`,
      purgeHistoryDeleteUri: `${instance}?${query}`,
      restartPostUri: `${instance}/restart?${query}`,
      suspendPostUri: `${instance}/suspend?reason={text}&${query}`,
      resumePostUri: `${instance}/resume?reason={text}&${query}`,
    },
    baseUrl: `${baseUrl}runtime/webhooks/durabletask`,
    requiredQueryStringParameters: "",
    rpcBaseUrl: `${rpcUrl}durabletask/`,
  };
}

type Links = ReturnType<typeof clientBinding>["managementUrls"];

export function createDurableApi(engine: Engine, managementUrls: Links) {
  const linksOf = (id: string): Record<string, string> => {
    const entries = Object.entries(managementUrls).map(([name, link]) => [
      name,
      link.replace("INSTANCEID", encodeURIComponent(id)),
    ]);
    return Object.fromEntries(entries) as Record<string, string>;
  };
  const locationOf = (id: string): string => linksOf(id)["statusQueryGetUri"] ?? "";
  const accepted = (id: string): DurableReply => ({
    status: 202,
    body: linksOf(id),
    headers: { location: locationOf(id), "retry-after": "10" },
  });

  function startOrchestrator({ body, query }: DurableRequest, name: string, instanceId: string | undefined): DurableReply {
    const input = body === "" ? undefined : parseJson(body);
    return accepted(engine.start(name, { instanceId, input, version: query.get("version") ?? undefined }));
  }

  function listInstances({ query, continuationToken }: DurableRequest): DurableReply {
    const pageSize = Number(query.get("top")) || 100;
    const found = engine.listInstances({ ...filterIn(query), afterId: afterToken(continuationToken), limit: pageSize + 1 });
    const { page, headers } = pageOf(found, pageSize);
    return { status: 200, body: page.map((instance) => statusOf(instance, isTrue(query, "showInput"))), headers };
  }

  function purgeInstances({ query }: DurableRequest): DurableReply {
    if (!query.get("createdTimeFrom")) return { status: 400, body: "Please provide value for 'createdTimeFrom' parameter." };
    const found = engine.listInstances(filterIn(query)).filter(finished);
    for (const { id } of found) engine.purge(id);
    return found.length > 0 ? { status: 200, body: { instancesDeleted: found.length } } : { status: 404 };
  }

  function showInstance({ query }: DurableRequest, id: string): DurableReply {
    const instance = engine.getInstance(id);
    if (!instance) return { status: 404 };
    const status = statusOf(instance, query.get("showInput")?.toLowerCase() !== "false");
    const history = isTrue(query, "showHistory")
      ? { historyEvents: historyOf(engine.getHistory(id), isTrue(query, "showHistoryOutput"), isTrue(query, "showInput")) }
      : {};
    const body = { ...status, ...history };
    return finished(instance)
      ? { status: 200, body }
      : { status: 202, body, headers: { location: locationOf(id), "retry-after": "5" } };
  }

  function restart({ query }: DurableRequest, id: string): DurableReply {
    const instance = engine.getInstance(id);
    if (!instance) return { status: 404 };
    const instanceId = query.get("restartWithNewInstanceId") === "false" ? id : undefined;
    const input = instance.input === null ? undefined : parseJson(instance.input);
    return accepted(engine.start(instance.name, { instanceId, input, version: instance.version }));
  }

  function change(request: DurableRequest, id: string, operation: string, argument: string | undefined): DurableReply {
    const reason = request.query.get("reason");
    if (operation === "restart") return restart(request, id);
    if (operation === "rewind") engine.rewind(id, reason);
    else if (operation === "terminate") engine.terminate(id, reason);
    else if (operation === "suspend") engine.suspend(id, reason);
    else if (operation === "resume") engine.resume(id, reason);
    else if (operation === "raiseEvent" && argument) engine.raiseEvent(id, argument, parseJson(request.body));
    else return { status: 404 };
    return { status: 202 };
  }

  /** GET and POST; DELETE is the operation as POST, in the extension too. */
  function entities({ method, query, body, continuationToken }: DurableRequest, name = "", key = ""): DurableReply {
    if (method === "GET" && key === "") return listEntities(query, name, continuationToken);
    if (method === "GET") {
      const entity = engine.getEntity({ name, key });
      return entity ? { status: 200, body: valueIn(entity.state) } : { status: 404 };
    }
    if (method !== "POST" && method !== "DELETE") return { status: 404 };
    if (name === "" || key === "") return { status: 400, body: { message: "an entity has a name and a key" } };
    if (body !== "") parseJson(body);
    engine.signalEntity({ name, key }, query.get("op") ?? "", body === "" ? undefined : body);
    return { status: 202 };
  }

  function listEntities(query: URLSearchParams, name: string, continuationToken: string | undefined): DurableReply {
    const pageSize = Number(query.get("top")) || 100;
    const prefix = name === "" ? "@" : schedulerIdOf({ name, key: "" });
    const found = engine.listEntities(prefix, afterToken(continuationToken), pageSize + 1);
    const { page, headers } = pageOf(found, pageSize);
    const body = page.map(({ id, changedAt, state }) => ({
      entityId: entityNameIn(id),
      lastOperationTime: secondsOf(changedAt),
      ...(isTrue(query, "fetchState") ? { state: valueIn(state) } : {}),
    }));
    return { status: 200, body, headers };
  }

  function answer(request: DurableRequest): DurableReply {
    const [kind, name, operation, argument] = request.path.split("/").filter(Boolean).map(decodeURIComponent);
    if (kind === "entities") return entities(request, name, operation);
    const asked = `${request.method} ${kind}`;
    if (asked === "POST orchestrators" && name) return startOrchestrator(request, name, operation);
    if (asked === "GET instances") return name ? showInstance(request, name) : listInstances(request);
    if (asked === "DELETE instances" && !name) return purgeInstances(request);
    if (asked === "DELETE instances" && name)
      return engine.purge(name) ? { status: 200, body: { instancesDeleted: 1 } } : { status: 404 };
    if (asked === "POST instances" && name && operation) return change(request, name, operation, argument);
    return { status: 404 };
  }

  return (request: DurableRequest): DurableReply => {
    try {
      return answer(request);
    } catch (error) {
      if (error instanceof DurableRefusal) return { status: error.status, body: { message: error.message } };
      throw error;
    }
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new DurableRefusal(400, "Invalid JSON content");
  }
}

const isTrue = (query: URLSearchParams, name: string): boolean => query.get(name)?.toLowerCase() === "true";

/** Pages are told from each other by the last id of the one before. */
const afterToken = (token: string | undefined): string => Buffer.from(token ?? "", "base64url").toString();

/** @param found one more than fits on the page, if there are more */
function pageOf<Item extends { id: string }>(found: Item[], size: number): { page: Item[]; headers: Record<string, string> } {
  const page = found.slice(0, size);
  const last = found.length > size ? page.at(-1) : undefined;
  return { page, headers: last ? { "x-ms-continuation-token": Buffer.from(last.id).toString("base64url") } : {} };
}

function filterIn(query: URLSearchParams) {
  const time = (name: string): number | undefined => {
    const at = Date.parse(query.get(name) ?? "");
    return Number.isNaN(at) ? undefined : at;
  };
  return {
    statuses: query.get("runtimeStatus")?.split(",").filter(Boolean),
    createdFrom: time("createdTimeFrom"),
    createdTo: time("createdTimeTo"),
    idPrefix: query.get("instanceIdPrefix") ?? undefined,
  };
}

/** The library insists that `input` and `output` are there, and the extension gives whole seconds. */
const statusOf = (instance: Instance, withInput: boolean): Record<string, unknown> => ({
  name: instance.name,
  instanceId: instance.id,
  runtimeStatus: instance.status,
  input: withInput ? valueIn(instance.input) : null,
  customStatus: valueIn(instance.customStatus),
  output: valueIn(instance.output),
  createdTime: secondsOf(instance.createdAt),
  lastUpdatedTime: secondsOf(instance.updatedAt),
});

const valueIn = (json: string | null | undefined): unknown => (json === null || json === undefined ? null : JSON.parse(json));

const secondsOf = (at: number): string => `${new Date(at).toISOString().slice(0, 19)}Z`;

const UNSHOWN = new Set<EventType>([EventType.OrchestratorStarted, EventType.OrchestratorCompleted]);
const STARTS = new Set<EventType>([EventType.TaskScheduled, EventType.SubOrchestrationInstanceCreated]);

/** As the extension shows a history: a result stands for its start as well, and tells its name and time. */
function historyOf(history: HistoryEvent[], withOutput: boolean, withInput: boolean): Record<string, unknown>[] {
  const starts = new Map(history.filter((event) => STARTS.has(event.EventType)).map((event) => [event.EventId, event]));
  const ended = new Set(history.map((event) => event.TaskScheduledId));
  const shown = history.filter(
    (event) => !UNSHOWN.has(event.EventType) && !(STARTS.has(event.EventType) && ended.has(event.EventId)),
  );
  return shown.map((event) => {
    const start = event.TaskScheduledId === undefined ? undefined : starts.get(event.TaskScheduledId);
    const { Name, Input, Result, Reason, Details, FireAt, InstanceId, OrchestrationStatus, Timestamp } = event;
    const functionName = event.EventType === EventType.ExecutionStarted ? Name : start?.Name;
    return {
      EventType: eventTypeName(event.EventType),
      Timestamp,
      ScheduledTime: start?.Timestamp,
      FunctionName: functionName,
      Name: functionName === undefined ? Name : undefined,
      Input: withInput ? (start?.Input ?? Input) : undefined,
      Result: withOutput && Result !== undefined ? valueIn(Result) : undefined,
      Reason,
      Details,
      FireAt,
      InstanceId,
      OrchestrationStatus,
    };
  });
}
