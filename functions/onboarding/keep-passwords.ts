/** What the sweep needs to know of passwords that the spec asks it to look after. */
import { passwordLifetimes } from "../../shared/desired/passwords.ts";
import type { Ground } from "../../shared/desired/state.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { OnboardingWorld } from "./world.ts";

/** Whoever has had one since before the spec gave it a life has it from now on. */
export async function keepPasswords(
  { stores: { credentials }, clock }: Pick<OnboardingWorld, "stores" | "clock">,
  { partnerId, id: tenantId, spec }: TenantRecord,
  { adminPassword: reference }: Pick<Ground, "adminPassword">,
): Promise<void> {
  const { vaultUrl } = reference;
  const nobodys = { partnerId, tenantId, vaultUrl, objectId: "", clientId: "" };
  const life = passwordLifetimes(spec).administratorPassword;
  if (life !== undefined) {
    const key = { partnerId, tenantId, name: "administratorPassword" as const };
    const lasting = { madeAt: at(clock.now()), expiresAt: at(clock.now() + life * 1000) };
    await credentials.add({ ...nobodys, ...key, current: { reference, keyId: reference.version, ...lasting } });
    await credentials.change(key, ({ current }) =>
      current && current.expiresAt === undefined ? { current: { ...current, ...lasting } } : undefined,
    );
  }
  // Made by the first sweep: what the image's own set-up has given it nobody knows.
  if (spec.gateway.iqSuite?.automatedSetUp?.sqlServer) await credentials.add({ ...nobodys, name: "sqlAdministratorPassword" });
}

const at = (milliseconds: number): string => new Date(milliseconds).toISOString();
