/**
 * Mission C9: a new public address that no blocklist has, of a few that Azure gives. What is listed is let go only once another is kept:
 * Azure would give out again what is free.
 */
import type { Address } from "../desired/state.ts";
import type { Screened } from "../dns/screening.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Walk } from "./runbook.ts";

/** So many are tried: whoever gets three listed ones in a row gets a fourth. */
export const MOST_ADDRESSES = 3;

export interface Candidates<Wait> {
  /** How many there may be. */
  count: number;
  make(index: number): Walk<Wait, Address>;
  screen(ipAddress: string, index: number): Walk<Wait, Screened>;
  letGo(index: number): Walk<Wait, void>;
  /** So many of them may stand from an earlier try. */
  begun?: number;
  /** Whether one that is listed will do when none is clean. */
  bearable?(screened: Screened): boolean;
}

export interface Clean {
  index: number;
  address: Address;
  screened: Screened;
}

export function* firstClean<Wait>({ bearable = () => false, ...candidates }: Candidates<Wait>): Walk<Wait, Clean> {
  const listed: Clean[] = [];
  for (let index = 0; index < candidates.count; index++) {
    const { id, ipAddress, fqdn } = yield* candidates.make(index);
    const one = { index, address: { id, ipAddress, fqdn }, screened: yield* candidates.screen(ipAddress, index) };
    if (one.screened.lists.length === 0) return yield* keeping(one, index + 1);
    listed.push(one);
  }
  const least = listed.find(({ screened }) => bearable(screened));
  if (least) return yield* keeping(least, candidates.count);
  yield* letOthersGo(undefined, candidates.count);
  const which = listed.map(({ address, screened }) => `${address.ipAddress} (${screened.lists.join(", ")})`).join(", ");
  throw new ControlPlaneError(
    "AddressesListed",
    `every new address that Azure gave is on a blocklist: ${which}; they were let go and nothing names them, ask again later or in another region`,
    409,
  );

  function* keeping(one: Clean, made: number): Walk<Wait, Clean> {
    yield* letOthersGo(one.index, made);
    return one;
  }

  function* letOthersGo(kept: number | undefined, made: number): Walk<Wait, void> {
    for (let index = 0; index < Math.max(made, candidates.begun ?? 0); index++)
      if (index !== kept) yield* candidates.letGo(index);
  }
}
