/** The sessions of a queue: each is a line of its own that one receiver holds at a time, with a state that the application gives it. */
import { createLine, type Line } from "./line.ts";
import { Refusal } from "./refusal.ts";
import type { Timers } from "./timers.ts";

export interface Session extends Line {
  readonly id: string;
  state: Buffer | undefined;
  lock: SessionLock | undefined;
}

/** Not kept: after a restart nobody holds a session. */
export interface SessionLock {
  readonly session: Session;
  /** Name of the link that holds it. */
  readonly owner: string;
  until: number;
  /** Called when it ends without having been given back. */
  lost: () => void;
}

export interface SessionsOptions {
  clock: { now(): number };
  timers: Timers;
  lockDuration: number;
  states: { id: string; state: Buffer }[];
  saveState(id: string, state: Buffer | undefined): void;
  /** Sequence number of its oldest message that is ready. */
  oldest(session: Session): number | undefined;
  /** The lock is over: what was received under it goes back. */
  released(session: Session, expired: boolean): void;
}

export class Sessions {
  readonly #options: SessionsOptions;
  readonly #sessions = new Map<string, Session>();
  /** Who waits for any session, first come first served. */
  readonly #waiting: { owner: string; accepted: (lock: SessionLock) => void }[] = [];

  constructor(options: SessionsOptions) {
    this.#options = options;
    for (const { id, state } of options.states) this.get(id).state = state;
  }

  get(id: string): Session {
    const found = this.#sessions.get(id) ?? { ...createLine(), id, state: undefined, lock: undefined };
    this.#sessions.set(id, found);
    return found;
  }

  /** A session needs no messages to be accepted by its name. @throws Refusal if another receiver holds it */
  accept(id: string, owner: string): SessionLock {
    const session = this.get(id);
    if (!isFree(session))
      throw new Refusal(
        "com.microsoft:session-cannot-be-locked",
        `The requested session '${id}' cannot be accepted. It may be locked by another receiver.`,
      );
    return this.#lock(session, owner);
  }

  /** Locks the free session whose message has waited longest, now or as soon as there is one. @returns ends the wait */
  acceptNext(owner: string, accepted: (lock: SessionLock) => void): () => void {
    const waiter = { owner, accepted };
    this.#waiting.push(waiter);
    this.serve();
    return () => {
      const at = this.#waiting.indexOf(waiter);
      if (at >= 0) this.#waiting.splice(at, 1);
    };
  }

  /** Gives free sessions that have messages to those who wait. */
  serve(): void {
    while (this.#waiting.length > 0) {
      const session = this.#next();
      const waiter = session && this.#waiting.shift();
      if (!waiter) return;
      waiter.accepted(this.#lock(session, waiter.owner));
    }
  }

  /** @throws Refusal if this link doesn't hold it */
  heldBy(id: string, owner: string | undefined): SessionLock {
    const lock = this.#sessions.get(id)?.lock;
    if (lock && (owner === undefined || owner === lock.owner)) return lock;
    throw sessionLockLost(id);
  }

  /** For its whole duration, from now on. */
  renew(lock: SessionLock): void {
    const { clock, timers, lockDuration } = this.#options;
    lock.until = clock.now() + lockDuration;
    timers.at(lock.until, () => {
      if (lock.session.lock !== lock || lock.until > clock.now()) return;
      this.#end(lock, true);
      lock.lost();
    });
  }

  release(lock: SessionLock): void {
    if (lock.session.lock === lock) this.#end(lock, false);
  }

  setState({ session }: SessionLock, state: Buffer | undefined): void {
    session.state = state;
    this.#options.saveState(session.id, state);
  }

  withState(): string[] {
    return [...this.#sessions.values()].filter(({ state }) => state).map(({ id }) => id);
  }

  #lock(session: Session, owner: string): SessionLock {
    const lock: SessionLock = { session, owner, until: 0, lost: () => undefined };
    session.lock = lock;
    this.renew(lock);
    return lock;
  }

  #end({ session }: SessionLock, expired: boolean): void {
    session.lock = undefined;
    session.consumers.length = 0;
    this.#options.released(session, expired);
    if (session.state === undefined && this.#options.oldest(session) === undefined && isFree(session))
      this.#sessions.delete(session.id);
    this.serve();
  }

  #next(): Session | undefined {
    let next: Session | undefined;
    let first = Infinity;
    for (const session of this.#sessions.values()) {
      const oldest = isFree(session) ? this.#options.oldest(session) : undefined;
      if (oldest === undefined || oldest >= first) continue;
      next = session;
      first = oldest;
    }
    return next;
  }
}

/** A lock whose time is over is ended by its timer. */
const isFree = ({ lock }: Session): boolean => lock === undefined;

export const sessionLockLost = (id: string): Refusal =>
  new Refusal(
    "com.microsoft:session-lock-lost",
    `The session lock has expired on the session '${id}'. Request a new session receiver.`,
  );
