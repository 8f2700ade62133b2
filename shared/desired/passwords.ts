/** Passwords of accounts inside the gateways, as the spec has them. Pure. */
import type { TenantSpec } from "../tenants/spec.ts";
import type { PasswordName } from "../vault/credential-names.ts";

const SECONDS_A_DAY = 24 * 3600;

/** In seconds; of one without a life of its own nothing. */
export function passwordLifetimes({ gateway }: Pick<TenantSpec, "gateway">): Partial<Record<PasswordName, number>> {
  const { administratorPassword, iqSuite } = gateway;
  const days = {
    administratorPassword: administratorPassword?.lifetimeInDays,
    sqlAdministratorPassword: iqSuite?.automatedSetUp?.sqlServer?.lifetimeInDays,
  } satisfies Record<PasswordName, number | undefined>;
  return Object.fromEntries(
    Object.entries(days).flatMap(([name, count]) => (count === undefined ? [] : [[name, count * SECONDS_A_DAY]])),
  );
}
