/**
 * What a customer's machines and applications hold of the secrets in its vault, looked up where no door redacts. A version is told by its
 * number, since its text is another one in each life.
 */
import { type Application, hashOf } from "../../infra/local/clouds/entra/directory.ts";
import type { GuestState } from "../../infra/local/clouds/guest/state.ts";
import type { OpenClouds } from "./estate.ts";

interface Secret {
  name: string;
  /** Oldest first. */
  versions: { id: string; value: string; enabled: boolean }[];
}

export function credentialsHeld(
  { platform }: Pick<OpenClouds, "platform">,
  { subscription, organization }: { subscription: string; organization: string },
): unknown {
  const of = <Kind>(collection: string, whose: (key: string, one: Kind) => boolean): Kind[] =>
    platform
      .collection<Kind>(collection)
      .entries()
      .flatMap(([key, one]) => (whose(key, one) ? [one] : []));
  const [vault] = of<{ id: string }>("arm.microsoft.keyvault/vaults", (_, { id }) => id.includes(subscription));
  const vaultName = vault?.id.split("/").at(-1)?.toLowerCase();
  const secrets = of<Secret>("vault.secrets", (key) => key.startsWith(`${vaultName}/`));
  const guests = of<GuestState>("arm.guests", (key) => key.toLowerCase().includes(subscription)).toSorted((one, other) =>
    one.virtualMachineId.localeCompare(other.virtualMachineId),
  );
  const applications = of<Application>("entra.applications", (key) => key.startsWith(`${organization}/`));
  const versions = secrets.flatMap(({ name, versions: made }) =>
    made.map(({ id, value }, index) => ({ id, hash: hashOf(value), called: `${name} ${index + 1}` })),
  );
  const byHash = (hash: string): string => versions.find((one) => one.hash === hash)?.called ?? "nobody's";
  return {
    machines: guests.map(({ origins, passwords, sqlServers, certificates }) => ({
      told: sorted(origins, ({ secret }) => versions.find(({ id }) => secret.includes(` ${id}`))?.called ?? "nobody's"),
      passwords: sorted(passwords, byHash),
      logins: Object.values(sqlServers).map(({ logins }) => byHash(logins["sa"] ?? "")),
      // One of its own making is another one in each life.
      certificates: certificates.map(({ thumbprint, selfSigned }) => (selfSigned ? "its own" : thumbprint)).toSorted(),
    })),
    applications: applications
      .map(
        ({ displayName, passwordCredentials: taken }) =>
          `${displayName}: ${taken
            .map(({ hash }) => byHash(hash))
            .toSorted()
            .join(", ")}`,
      )
      .toSorted(),
    switchedOff: secrets.flatMap(({ name, versions: made }) =>
      made.flatMap(({ enabled }, index) => (enabled ? [] : [`${name} ${index + 1}`])),
    ),
  };
}

/** Written in whichever order. */
const sorted = <Value>(values: Record<string, Value>, told: (value: Value) => string): [string, string][] =>
  Object.entries(values)
    .map(([key, value]): [string, string] => [key, told(value)])
    .toSorted(([one], [other]) => one.localeCompare(other));
