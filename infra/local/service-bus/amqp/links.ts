/** Links that clients open: what each is for, and whether it may be. A link that waits for a session is answered when it has one. */
import type { Broker, Entity } from "../broker.ts";
import type { Right } from "../options.ts";
import type { Queue } from "../queue.ts";
import { Refusal } from "../refusal.ts";
import { type SessionLock, sessionLockLost } from "../sessions.ts";
import type { Store } from "../store.ts";
import type { BrokerClock } from "../timers.ts";
import type { Topic } from "../topic.ts";
import type { Claims } from "./claims.ts";
import { createReceiving, type Receiving } from "./consumers.ts";
import { queueOf, sessionsOf, targetOf } from "./management.ts";
import { amqpErrorOf, type Outcomes } from "./outcomes.ts";
import { holdAttach, type Link, type SendingLink } from "./rhea.ts";
import { numberOf, ticks } from "./values.ts";

export type Role =
  | { kind: "claims" }
  | { kind: "management"; entity: Entity }
  | { kind: "sending"; target: Queue | Topic }
  | { kind: "replies"; address: string }
  | { kind: "waiting"; cancel(): void }
  | { kind: "receiving"; receiving: Receiving };

export interface Links {
  /** The client sends by it. */
  openIncoming(link: Link): void;
  /** The client receives by it. */
  openOutgoing(link: SendingLink): void;
  close(link: Link): void;
  /** `undefined` when the link was refused or is closed. */
  roleOf(link: Link): Role | undefined;
}

export interface LinksOptions {
  /** As it is now: another one takes its place when a snapshot is restored. */
  broker(): Broker;
  store: Store;
  clock: BrokerClock;
  claims: Claims;
  outcomes: Outcomes;
}

export const CLAIMS = "$cbs";
/** Of the Standard tier. */
export const LARGEST_MESSAGE_IN_BYTES = 262_144;
const MANAGEMENT = /\/\$management$/i;
const SESSION_FILTER = "com.microsoft:session-filter";
/** Whoever may do anything may ask; what, is looked at when it asks. */
const ANY_RIGHT: Right[] = ["Send", "Listen", "Manage"];
/** Of a client that waits for a session and doesn't say how long. */
const DEFAULT_TIMEOUT_IN_MILLISECONDS = 65_000;

export function createLinks({ broker, store, clock, claims, outcomes }: LinksOptions): Links {
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

  function incomingRole(link: Link): Role {
    const address = link.remote.attach?.target?.address ?? "";
    link.set_source({ address: link.remote.attach?.source?.address });
    link.set_target({ address });
    link.local.attach.max_message_size = LARGEST_MESSAGE_IN_BYTES;
    if (address === CLAIMS) return { kind: "claims" };
    const entity = entityAt(address, link, "Send");
    if (MANAGEMENT.test(address)) return { kind: "management", entity };
    return { kind: "sending", target: targetOf(entity) };
  }

  function outgoingRole(link: SendingLink): Role {
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

  function open<L extends Link>(link: L, find: (link: L) => Role): void {
    try {
      roles.set(link, find(link));
    } catch (error) {
      link.close(amqpErrorOf(error));
    }
  }

  function close(link: Link): void {
    const role = roles.get(link);
    roles.delete(link);
    if (role?.kind === "receiving") role.receiving.detach();
    else if (role?.kind === "waiting") role.cancel();
  }

  return {
    openIncoming: (link) => open(link, incomingRole),
    openOutgoing: (link) => open(link, outgoingRole),
    close,
    roleOf: (link) => roles.get(link),
  };
}
