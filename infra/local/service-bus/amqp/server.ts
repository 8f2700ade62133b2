/** Serves a broker over AMQP 1.0 as Azure Service Bus does: what comes over the wire, and where it goes. */
import type { AddressInfo, Socket } from "node:net";
import { once } from "node:events";
import rhea from "rhea";
import type { Broker, Entity } from "../broker.ts";
import type { Right } from "../options.ts";
import type { Queue } from "../queue.ts";
import { Refusal, statusOf } from "../refusal.ts";
import { type SessionLock, sessionLockLost } from "../sessions.ts";
import type { Store } from "../store.ts";
import type { BrokerClock } from "../timers.ts";
import type { Topic } from "../topic.ts";
import { type AccessKey, createClaims } from "./claims.ts";
import { createReceiving, type HowSettled, type Receiving } from "./consumers.ts";
import { contentsOfBatch, decodeContent } from "./content.ts";
import { type Answer, manage, queueOf, sessionsOf, targetOf } from "./management.ts";
import { amqpErrorOf, createOutcomes } from "./outcomes.ts";
import {
  type AmqpError,
  type Connection,
  decodeRequest,
  emptyBody,
  type EventContext,
  handOverUndecoded,
  holdAttach,
  type Link,
  type Request,
  type SendingLink,
} from "./rhea.ts";
import { numberOf, ticks, types } from "./values.ts";

export interface AmqpServer {
  port: number;
  /** Ends all connections, as a broken network does. */
  drop(): void;
  /** Ends all connections, and takes no more. */
  stop(): Promise<void>;
}

/** What a link is for. */
type Role =
  | { kind: "claims" }
  | { kind: "management"; entity: Entity }
  | { kind: "sending"; target: Queue | Topic }
  | { kind: "replies"; address: string }
  | { kind: "waiting"; cancel(): void }
  | { kind: "receiving"; receiving: Receiving };

const CLAIMS = "$cbs";
const MANAGEMENT = /\/\$management$/i;
const SESSION_FILTER = "com.microsoft:session-filter";
/** Whoever may do anything may ask; what, is looked at when it asks. */
const ANY_RIGHT: Right[] = ["Send", "Listen", "Manage"];
/** Of a client that waits for a session and doesn't say how long. */
const DEFAULT_TIMEOUT_IN_MILLISECONDS = 65_000;
/** Message format of a batch. */
const BATCH = 0x8001_3700;
/** Of the Standard tier. */
const LARGEST_MESSAGE_IN_BYTES = 262_144;

export interface AmqpOptions {
  /** As it is now: another one takes its place when a snapshot is restored. */
  broker(): Broker;
  store: Store;
  clock: BrokerClock;
  keys: AccessKey[];
  /** 0 picks a free one. */
  port: number;
}

export async function serveAmqp({ broker, store, clock, keys, port }: AmqpOptions): Promise<AmqpServer> {
  const claims = createClaims(keys, clock);
  const outcomes = createOutcomes();
  const roles = new WeakMap<Link, Role>();

  /** @throws Refusal if there is no such entity, or the connection has none of these rights on it */
  function entityAt(address: string, link: Link, ...rights: Right[]): Entity {
    const path = address.replace(MANAGEMENT, "");
    const entity = broker().find(path);
    // The client knows this reason by its words.
    if (!entity)
      throw new Refusal(
        "amqp:not-found",
        `The messaging entity 'sb://${link.connection.hostname ?? ""}/${path}' could not be found.`,
      );
    claims.require(link.connection, entity.name, ...(MANAGEMENT.test(address) ? ANY_RIGHT : rights));
    return entity;
  }

  /** The client sends by it. */
  function openIncoming(link: Link): Role {
    const address = link.remote.attach?.target?.address ?? "";
    link.set_source({ address: link.remote.attach?.source?.address });
    link.set_target({ address });
    link.local.attach.max_message_size = LARGEST_MESSAGE_IN_BYTES;
    if (address === CLAIMS) return { kind: "claims" };
    const entity = entityAt(address, link, "Send");
    if (MANAGEMENT.test(address)) return { kind: "management", entity };
    return { kind: "sending", target: targetOf(entity) };
  }

  /** The client receives by it. */
  function openOutgoing(link: SendingLink): Role {
    const { source, target, snd_settle_mode: sendMode, rcv_settle_mode: receiveMode } = link.remote.attach ?? {};
    const address = source?.address ?? "";
    link.set_source({ address });
    link.set_target({ address: target?.address });
    link.local.attach.snd_settle_mode = sendMode ?? 0;
    link.local.attach.rcv_settle_mode = receiveMode ?? 0;
    if (address === CLAIMS) return { kind: "replies", address };
    const entity = entityAt(address, link, "Listen");
    if (MANAGEMENT.test(address)) return { kind: "replies", address };
    const queue = queueOf(entity);
    if (!source?.filter || !(SESSION_FILTER in source.filter))
      return { kind: "receiving", receiving: createReceiving(link, { queue }, { store, outcomes }) };
    const wanted = source.filter[SESSION_FILTER];
    if (typeof wanted === "string") return openSession(link, queue, sessionsOf(queue).accept(wanted, link.name));
    return waitForSession(link, queue);
  }

  /** Tells the client which session it holds, and until when. */
  function openSession(link: SendingLink, queue: Queue, sessionLock: SessionLock): Role {
    link.set_source({ address: link.remote.attach?.source?.address, filter: { [SESSION_FILTER]: sessionLock.session.id } });
    link.local.attach.properties = { "com.microsoft:locked-until-utc": ticks(sessionLock.until) };
    sessionLock.lost = () => {
      close(link);
      link.close(amqpErrorOf(sessionLockLost(sessionLock.session.id)));
    };
    return { kind: "receiving", receiving: createReceiving(link, { queue, sessionLock }, { store, outcomes }) };
  }

  /** The link's attach is answered when there is a session for it, or the time is over that the client gave. */
  function waitForSession(link: SendingLink, queue: Queue): Role {
    let accepted: SessionLock | undefined;
    let timer: { cancel(): void } | undefined;
    const giveUp = sessionsOf(queue).acceptNext(link.name, (lock) => {
      accepted = lock;
      if (!timer) return;
      timer.cancel();
      open(link, () => openSession(link, queue, lock));
      link.open();
    });
    if (accepted) return openSession(link, queue, accepted);
    holdAttach(link);
    const timeout = numberOf(link.remote.attach?.properties?.["com.microsoft:timeout"] ?? DEFAULT_TIMEOUT_IN_MILLISECONDS);
    timer = clock.setTimer(clock.now() + timeout, () => {
      giveUp();
      roles.delete(link);
      link.open();
      link.close({
        condition: "com.microsoft:timeout",
        description: `The operation did not complete within the allotted timeout of ${timeout} ms: no session with messages became free.`,
      });
    });
    return {
      kind: "waiting",
      cancel() {
        timer?.cancel();
        giveUp();
        link.open();
      },
    };
  }

  const open = <L extends Link>(link: L, find: (link: L) => Role): void => {
    try {
      roles.set(link, find(link));
    } catch (error) {
      link.close(amqpErrorOf(error));
    }
  };

  const close = (link: Link): void => {
    const role = roles.get(link);
    roles.delete(link);
    if (role?.kind === "receiving") role.receiving.detach();
    else if (role?.kind === "waiting") role.cancel();
  };

  const receivingBy = (link: Link): Receiving | undefined => {
    const role = roles.get(link);
    return role?.kind === "receiving" ? role.receiving : undefined;
  };

  function accept({ receiver, delivery, message, format }: EventContext): void {
    const role = roles.get(receiver);
    if (role?.kind === "sending") {
      const refusal = refusalOf(() => {
        checkSize(message);
        role.target.send(format === BATCH ? contentsOfBatch(message) : [decodeContent(message)]);
      });
      void store.flush().then(() => outcomes.settle(delivery, refusal));
    } else if (role?.kind === "claims" || role?.kind === "management") {
      outcomes.settle(delivery);
      const request = decodeRequest(message);
      const answer = role.kind === "claims" ? answerClaim(receiver, request) : answerManagement(receiver, role.entity, request);
      void store.flush().then(() => reply(receiver, role.kind, request, answer));
    } else outcomes.settle(delivery, { condition: "amqp:not-allowed", description: "The link is closed." });
  }

  const answerClaim = (link: Link, request: Request): Answer | AmqpError =>
    refusalOf(() => claims.put(link.connection, request)) ?? { status: 202 };

  function answerManagement(link: Link, entity: Entity, request: Request): Answer | AmqpError {
    const require = (rights: Right[]): void => claims.require(link.connection, entity.name, ...rights);
    try {
      return manage(entity, request, { checkSize, require });
    } catch (error) {
      return amqpErrorOf(error);
    }
  }

  /** `$cbs` and `$management` name the same things differently. */
  function reply(
    link: Link,
    kind: "claims" | "management",
    { reply_to: replyTo, message_id: id }: Request,
    answer: Answer | AmqpError,
  ): void {
    let target: SendingLink | undefined;
    link.session.each_sender((candidate) => {
      const role = roles.get(candidate);
      if (role?.kind !== "replies") return;
      const named = candidate.name === replyTo || candidate.remote.attach?.target?.address === replyTo;
      if (named || (kind === "claims" && role.address === CLAIMS)) target ??= candidate;
    });
    const refused = "condition" in answer;
    const status = types.wrap_int(refused ? statusOf(answer.condition as Refusal["condition"]) : answer.status);
    const description = refused ? answer.description : "OK";
    const condition = refused ? types.wrap_symbol(answer.condition) : undefined;
    const properties =
      kind === "claims"
        ? { "status-code": status, "status-description": description, ...(condition ? { "error-condition": condition } : {}) }
        : { statusCode: status, statusDescription: description, ...(condition ? { errorCondition: condition } : {}) };
    const body = kind === "claims" ? undefined : refused ? emptyBody() : (answer.body ?? emptyBody());
    target?.send({ correlation_id: id, application_properties: properties, body });
  }

  const container = rhea.create_container({ id: "service-bus" });
  container.sasl_server_mechanisms.enable_anonymous();
  const on = (event: string, listener: (context: EventContext) => void): void => void container.on(event, listener);
  on("session_open", ({ session }) => handOverUndecoded(session));
  on("receiver_open", ({ receiver }) => open(receiver, openIncoming));
  on("sender_open", ({ sender }) => open(sender, openOutgoing));
  on("message", accept);
  for (const how of ["accepted", "released", "modified", "rejected"] satisfies HowSettled[])
    on(how, ({ sender, delivery }) => receivingBy(sender)?.settle(delivery, how));
  on("sender_flow", ({ sender }) => receivingBy(sender)?.flow());
  on("sender_close", ({ sender }) => close(sender));
  on("receiver_close", ({ receiver }) => close(receiver));
  on("session_close", ({ session }) => session.each_link(close));
  on("connection_close", ({ connection }) => connection.each_link(close));
  on("disconnected", ({ connection }) => connection.each_link(close));
  // An error in a listener would else end the connection without a word.
  for (const event of ["error", "protocol_error"])
    container.on(event, (context: unknown) => process.stderr.write(`${event}: ${wordsOf(context)}\n`));
  // Errors that clients report: their links, sessions and connections are closed by other events.
  for (const event of ["connection_error", "session_error", "receiver_error", "sender_error"]) on(event, () => undefined);

  const server = container.listen({
    port,
    host: "127.0.0.1",
    reconnect: false,
    idle_time_out: 120_000,
    session_buffer_size: { incoming: 2048, outgoing: 16_384 },
    receiver_options: { autoaccept: false, credit_window: 1000 },
    sender_options: { treat_modified_as_released: false },
  } as unknown as Parameters<typeof container.listen>[0]);
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    socket.setNoDelay(true);
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const connections = new Set<Connection>();
  on("connection_open", ({ connection }) => void connections.add(connection));
  on("disconnected", ({ connection }) => void connections.delete(connection));
  await once(server, "listening");

  function drop(): void {
    // At once, and not when the sockets' ends are noticed: what links held goes back to the queues as they are now.
    for (const connection of connections) connection.each_link(close);
    for (const socket of sockets) socket.destroy();
  }

  return {
    port: (server.address() as AddressInfo).port,
    drop,
    async stop() {
      const closed = once(server, "close");
      server.close();
      drop();
      await closed;
    },
  };
}

function checkSize(bytes: Buffer): void {
  if (bytes.length > LARGEST_MESSAGE_IN_BYTES)
    throw new Refusal(
      "amqp:link:message-size-exceeded",
      `The received message (size: ${bytes.length} bytes) exceeds the limit (${LARGEST_MESSAGE_IN_BYTES} bytes) currently allowed on the link.`,
    );
}

function refusalOf(work: () => void): AmqpError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    return amqpErrorOf(error);
  }
}

const wordsOf = (context: unknown): string => {
  const error = context instanceof Error ? context : (context as { error?: unknown } | undefined)?.error;
  return error instanceof Error ? (error.stack ?? error.message) : JSON.stringify(error ?? "unknown");
};
