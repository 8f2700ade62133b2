/** Clients whose process dies: before their n-th write or after it, with nobody left who could say so. */
import type { AcmeWorld } from "./world.ts";

class Died extends Error {}

/** Ways to die: writes are counted through all clients in the order in which they come. */
export interface Death {
  at: number;
  when: "before" | "after";
}

export interface Interrupted {
  /** What was written when it died; undefined where it had ended before. */
  what: string | undefined;
  left: { orders: number; versions: number; texts: string[]; open: number; ended: string[] };
}

export const oneOfEach: Interrupted["left"] = { orders: 1, versions: 1, texts: [], open: 0, ended: ["issued"] };

/** One try that dies there, and one of another process after it; gives what they leave. */
export async function interrupted(acme: AcmeWorld, death: Death): Promise<Interrupted> {
  const { clients } = acme;
  await acme.forget();
  const before = acme.orderCount();
  let count = 0;
  let what: string | undefined;
  const mortal =
    <Arguments extends unknown[], Result>(name: string, write: (...given: Arguments) => Promise<Result>) =>
    async (...given: Arguments): Promise<Result> => {
      // Who is dead does nothing any more, also where something that he began goes on.
      if (what !== undefined) throw new Died();
      const fatal = ++count === death.at;
      if (fatal) what = name;
      if (fatal && death.when === "before") throw new Died();
      const result = await write(...given);
      if (fatal) throw new Died();
      return result;
    };
  const { server, azure, certificates, orders } = clients;
  if (server === undefined) throw new Error("nobody signs");
  const dying = acme.over({
    server: {
      ...server,
      order: mortal("order", server.order),
      answer: mortal("answer", server.answer),
      finalize: mortal("finalize", server.finalize),
    },
    azure: { ...azure, begin: mortal("publish", azure.begin), beginRemoval: mortal("withdraw", azure.beginRemoval) },
    certificates: {
      ...certificates,
      begin: mortal("request", certificates.begin),
      merge: mortal("merge", certificates.merge),
      discard: mortal("discard", certificates.discard),
    },
    orders: { ...orders, change: mortal("note", orders.change) },
  });
  await dying.obtain().catch((error: unknown) => {
    if (what === undefined) throw error;
  });
  // Longer than anybody makes an order.
  acme.now.value += 61_000;
  await acme.over().obtain();
  // As the operation that was to be followed is, once more by somebody who comes late.
  await acme.over().poll(acme.operationUrl);
  const left = await acme.orders.get("northwind", "contoso");
  return {
    what,
    left: {
      orders: acme.orderCount() - before,
      versions: await acme.versions(),
      texts: acme.texts(),
      open: [left.order, left.record].filter((one) => one !== undefined).length,
      ended: left.ended.map(({ how }) => how),
    },
  };
}
