/** The texts that a document wants in their places: literal, or out of a vault and remembered here only by a hash. */
import { createHash } from "node:crypto";
import type { MachineDocument, SecretName, Valued } from "./document.ts";
import type { GuestState } from "./state.ts";

export interface Values {
  /** What belongs there; only for a run that has read its secrets. */
  text(entry: Valued): string;
  /** Whether what is there is what belongs there. `place` is a difference's name. */
  same(entry: Valued, place: string, actual: string): boolean;
  /** Whether a hash is that of what belongs there. */
  hashed(entry: Valued, place: string, hash: string): boolean;
  /** Whether a fingerprint that the machine remembers is that of the entry's secret. */
  fingerprinted(entry: Valued, place: string, fingerprint: string): boolean;
}

export const secretId = ({ vaultUrl, name, version }: SecretName): string => `${vaultUrl} ${name} ${version}`;
export const hashOf = (data: string): string => createHash("sha256").update(data).digest("hex");

/** As the engine makes it: salted with the secret's name, eight hexadecimal digits. */
export const fingerprintOf = (name: string, value: string): string => hashOf(`${name}\n${value}`).slice(0, 8);

const literal = (value: Valued["value"]): string => (typeof value === "string" ? value : "");

export function knownValues(secrets: ReadonlyMap<string, string>): Values {
  const text = ({ value, secret, prefix }: Valued): string =>
    secret === undefined ? literal(value) : (prefix ?? "") + (secrets.get(secretId(secret)) ?? "");
  return {
    text,
    same: (entry, _place, actual) => text(entry) === actual,
    hashed: (entry, _place, hash) => hashOf(text(entry)) === hash,
    fingerprinted: ({ secret }, _place, fingerprint) =>
      secret !== undefined && fingerprintOf(secret.name, secrets.get(secretId(secret)) ?? "") === fingerprint,
  };
}

/** Told without the vault: a secret of a known version is known by its hash. */
export const rememberedValues = ({ origins }: GuestState): Values => ({
  text: ({ value }) => literal(value),
  same: (entry, place, actual) => {
    if (entry.secret === undefined) return literal(entry.value) === actual;
    const origin = origins[place.toLowerCase()];
    return origin?.secret === originOf(entry) && origin.hash === hashOf(actual);
  },
  hashed: (entry, place, hash) => {
    const origin = origins[place.toLowerCase()];
    return origin?.secret === originOf(entry) && origin.hash === hash;
  },
  fingerprinted: (entry, place) => origins[place.toLowerCase()]?.secret === originOf(entry),
});

export const originOf = ({ secret, prefix }: Valued): string =>
  JSON.stringify([secret === undefined ? undefined : secretId(secret), prefix]);

/** Where a secret of this document went: remembered with the machine. */
export function withOrigin(guest: GuestState, entry: Valued, place: string, text: string): GuestState {
  if (entry.secret === undefined) return guest;
  return { ...guest, origins: { ...guest.origins, [place.toLowerCase()]: { secret: originOf(entry), hash: hashOf(text) } } };
}

/** All secrets that a document names, each once. */
export function secretsIn({ files, certificates, registry, xml, passwords, logins }: MachineDocument): SecretName[] {
  const entries = [...files, ...certificates, ...registry, ...xml.flatMap(({ nodes }) => nodes), ...passwords, ...logins];
  const named = [...entries.map(({ secret }) => secret), ...passwords.flatMap(({ earlier }) => earlier)];
  return [...new Map(named.filter((secret) => secret !== undefined).map((secret) => [secretId(secret), secret])).values()];
}
