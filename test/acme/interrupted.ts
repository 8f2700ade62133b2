/** Clients whose process dies: before their n-th write or after it, with nobody left who could say so. */
import type { AcmeWorld, Clients, Driver } from "./world.ts";

class Died extends Error {}

const WRITES: { [Client in keyof Clients]?: readonly string[] } = {
  server: ["order", "answer", "finalize"],
  azure: ["begin", "beginRemoval"],
  certificates: ["begin", "merge", "discard"],
  orders: ["change"],
};

/** Ways to die: writes are counted through all clients in the order in which they come. */
export interface Death {
  at: number;
  when: "before" | "after";
}

export interface Interrupted {
  /** Whether it came as far as that. */
  died: boolean;
  /** What was to be written when it died. */
  what: string | undefined;
}

/** One try that dies there; whoever tries next is another process. */
export async function interrupted(acme: AcmeWorld, clients: Clients, { at, when }: Death): Promise<Interrupted> {
  let count = 0;
  let dead = false;
  let what: string | undefined;
  const dying = <Client extends object>(client: Client, writes: readonly string[], name: string): Client =>
    new Proxy(client, {
      get: (target, property, receiver) => {
        const value: unknown = Reflect.get(target, property, receiver);
        if (typeof value !== "function") return value;
        return async (...args: unknown[]): Promise<unknown> => {
          if (dead) throw new Died();
          const fatal = writes.includes(String(property)) && ++count === at;
          if (fatal) [dead, what] = [true, `${name}.${String(property)}`];
          if (fatal && when === "before") throw new Died();
          const result: unknown = await Reflect.apply(value, target, args);
          if (dead) throw new Died();
          return result;
        };
      },
    });
  const mortal: Partial<Clients> = Object.fromEntries(
    Object.entries(WRITES).map(([name, writes]) => [name, dying(clients[name as keyof Clients] as object, writes, name)]),
  );
  // Not every method of these gives a promise, and those that don't are no requests.
  const { azure, certificates } = clients;
  const driver: Driver = acme.over({
    ...mortal,
    azure: { ...azure, begin: (mortal.azure ?? azure).begin, beginRemoval: (mortal.azure ?? azure).beginRemoval },
    certificates: {
      ...certificates,
      begin: (mortal.certificates ?? certificates).begin,
      merge: (mortal.certificates ?? certificates).merge,
      discard: (mortal.certificates ?? certificates).discard,
    },
  });
  try {
    await driver.obtain();
  } catch (error) {
    if (!dead) throw error;
  }
  return { died: dead, what };
}
