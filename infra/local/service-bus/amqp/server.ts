/** Serves a broker over AMQP 1.0 as Azure Service Bus does: what comes over the wire, and where it goes. */
import type { AddressInfo, Socket } from "node:net";
import { once } from "node:events";
import rhea from "rhea";
import type { Broker, Entity } from "../broker.ts";
import type { Right } from "../options.ts";
import { Refusal, statusOf } from "../refusal.ts";
import type { Store } from "../store.ts";
import type { BrokerClock } from "../timers.ts";
import { type AccessKey, createClaims } from "./claims.ts";
import type { HowSettled, Receiving } from "./consumers.ts";
import { contentsOfBatch, decodeContent } from "./content.ts";
import { CLAIMS, createLinks, LARGEST_MESSAGE_IN_BYTES } from "./links.ts";
import { type Answer, manage } from "./management.ts";
import { amqpErrorOf, createOutcomes } from "./outcomes.ts";
import {
  type AmqpError,
  type Connection,
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
  /** Ends all connections, as a broken network does. */
  drop(): void;
  /** Ends all connections, and takes no more. */
  stop(): Promise<void>;
}

/** Message format of a batch. */
const BATCH = 0x8001_3700;

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
  const links = createLinks({ broker, store, clock, claims, outcomes });
  const { close } = links;

  const receivingBy = (link: Link): Receiving | undefined => {
    const role = links.roleOf(link);
    return role?.kind === "receiving" ? role.receiving : undefined;
  };

  function accept({ receiver, delivery, message, format }: EventContext): void {
    const role = links.roleOf(receiver);
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
      const role = links.roleOf(candidate);
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
  on("receiver_open", ({ receiver }) => links.openIncoming(receiver));
  on("sender_open", ({ sender }) => links.openOutgoing(sender));
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
