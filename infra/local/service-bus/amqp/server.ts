/** Serves a broker over AMQP 1.0 as Azure Service Bus does: what comes over the wire, and where it goes. */
import type { AddressInfo, Socket } from "node:net";
import { once } from "node:events";
import rhea from "rhea";
import type { Broker } from "../broker.ts";
import { DEAD_LETTER_SUFFIX, type Queue } from "../queue.ts";
import { Refusal, statusOf } from "../refusal.ts";
import { type AccessKey, createClaims } from "./claims.ts";
import { createReceiving, type HowSettled, type Receiving } from "./consumers.ts";
import { contentsOfBatch, decodeContent } from "./content.ts";
import { type Answer, manage } from "./management.ts";
import { amqpErrorOf, createOutcomes } from "./outcomes.ts";
import {
  type AmqpError,
  decodeRequest,
  emptyBody,
  type EventContext,
  handOverUndecoded,
  type Link,
  type Request,
  type SendingLink,
} from "./rhea.ts";
import { types } from "./values.ts";

export interface AmqpServer {
  port: number;
  /** Ends all connections. */
  stop(): Promise<void>;
}

/** What a link is for. */
type Role =
  | { kind: "claims" }
  | { kind: "management"; queue: Queue }
  | { kind: "sending"; queue: Queue }
  | { kind: "replies"; address: string }
  | { kind: "receiving"; receiving: Receiving };

const CLAIMS = "$cbs";
const MANAGEMENT = /\/\$management$/i;
/** Message format of a batch. */
const BATCH = 0x8001_3700;
/** Of the Standard tier. */
const LARGEST_MESSAGE_IN_BYTES = 262_144;

/** @param port 0 picks a free one */
export async function serveAmqp(broker: Broker, { port, key }: { port: number; key: AccessKey }): Promise<AmqpServer> {
  const { store } = broker;
  const claims = createClaims(key, broker.clock);
  const outcomes = createOutcomes();
  const roles = new WeakMap<Link, Role>();

  /** @throws Refusal if there is no such queue, or the connection may not use it */
  function queueAt(address: string, link: Link): Queue {
    const path = address.replace(MANAGEMENT, "");
    const queue = broker.find(path);
    // The client knows this reason by its words.
    if (!queue)
      throw new Refusal(
        "amqp:not-found",
        `The messaging entity 'sb://${link.connection.hostname ?? ""}/${path}' could not be found.`,
      );
    claims.require(link.connection, queue.name);
    return queue;
  }

  /** The client sends by it. */
  function openIncoming(link: Link): Role {
    const address = link.remote.attach?.target?.address ?? "";
    link.set_source({ address: link.remote.attach?.source?.address });
    link.set_target({ address });
    link.local.attach.max_message_size = LARGEST_MESSAGE_IN_BYTES;
    if (address === CLAIMS) return { kind: "claims" };
    const queue = queueAt(address, link);
    if (MANAGEMENT.test(address)) return { kind: "management", queue };
    if (queue.name.endsWith(DEAD_LETTER_SUFFIX))
      throw new Refusal("amqp:not-allowed", `The entity '${queue.name}' cannot be sent to.`);
    return { kind: "sending", queue };
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
    const queue = queueAt(address, link);
    if (MANAGEMENT.test(address)) return { kind: "replies", address };
    if (source?.filter && "com.microsoft:session-filter" in source.filter)
      throw new Refusal(
        "amqp:not-allowed",
        "A sessionful message receiver cannot be created on an entity that does not require sessions.",
      );
    return { kind: "receiving", receiving: createReceiving(link, queue, { broker, outcomes }) };
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
        role.queue.send(format === BATCH ? contentsOfBatch(message) : [decodeContent(message)]);
      });
      void store.flush().then(() => outcomes.settle(delivery, refusal));
    } else if (role?.kind === "claims" || role?.kind === "management") {
      outcomes.settle(delivery);
      const request = decodeRequest(message);
      const answer = role.kind === "claims" ? answerClaim(receiver, request) : answerManagement(role.queue, request);
      void store.flush().then(() => reply(receiver, role.kind, request, answer));
    } else outcomes.settle(delivery, { condition: "amqp:not-allowed", description: "The link is closed." });
  }

  const answerClaim = (link: Link, request: Request): Answer | AmqpError =>
    refusalOf(() => claims.put(link.connection, request)) ?? { status: 202 };

  function answerManagement(queue: Queue, request: Request): Answer | AmqpError {
    try {
      return manage(queue, request, checkSize);
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
  await once(server, "listening");

  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = once(server, "close");
      server.close();
      for (const socket of sockets) socket.destroy();
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
