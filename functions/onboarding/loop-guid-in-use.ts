/** The loop GUID of an installation that a person made: the gateway writes it already, so it is kept, and goes from the rule into the vault. */
import { adoptedOf } from "../../shared/desired/adopted.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Exchange } from "../../shared/exchange/client.ts";
import { carries, markerOf } from "../../shared/exchange/ownership.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";

/** The secret itself: it is written to the vault at once, and told to nobody. Undefined for a tenant that nobody made by hand. */
export async function loopGuidInUse({ exchange }: { exchange: Exchange }, tenant: TenantRecord): Promise<string | undefined> {
  if (!adoptedOf(tenant)) return undefined;
  const { partnerId, id: tenantId, spec } = tenant;
  const marker = markerOf({ partnerId, tenantId }, "forwardingRule");
  const rules = await exchange.list(spec.microsoft365.tenantId, "Get-TransportRule", {});
  const words = rules.find(({ Comments }) => carries(Comments, marker))?.ExceptIfHeaderContainsWords ?? [];
  const [only, ...more] = words;
  if (only === undefined || more.length > 0)
    throw new ControlPlaneError(
      "LoopGuidUnknown",
      `the person's forwarding rule has ${words.length} loop GUIDs, and the gateway writes one: put its own back into the rule, then onboard again`,
      409,
    );
  return only;
}
