/** A partner's own server: takes what webhooks bring, at any path, and keeps it for whoever wants to look. */
import type { Platform, Simulator } from "../simulator.ts";

/** As its certificate and DNS have it. */
export const RECEIVER = "hooks.northwind.example";

export interface Received {
  at: string;
  path: string;
  headers: Record<string, string>;
  body: string;
}

const MOST_KEPT = 1000;

/** Faults at its door are a receiver that is slow, down, or gone for good. */
export function createWebhooks({ collection, now }: Platform, url: () => string): Simulator {
  const received = collection<Received>("webhooks.received");
  return {
    name: "webhooks",
    handle: ({ method, url: { pathname, search }, headers, text }) => {
      if (method !== "POST") return { status: 405, body: "POST only" };
      const known = received.entries();
      if (known.length >= MOST_KEPT) received.delete(known[0]?.[0] ?? "");
      const number = Number(known.at(-1)?.[0] ?? 0) + 1;
      const at = new Date(now()).toISOString();
      received.set(String(number).padStart(9, "0"), { at, path: pathname + search, headers, body: text });
      return { status: 204, effect: "write" };
    },
    state: () => ({ url: url(), received: received.values() }),
  };
}
