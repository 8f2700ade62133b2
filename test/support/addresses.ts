/** Public addresses of a world in virtual time, and a gateway that gets another one. */
import type { Operation } from "../../shared/api/operation.ts";
import type { Life } from "./worlds.ts";

interface Address {
  name: string;
  body: { properties: { ipAddress: string; dnsSettings: { fqdn: string; reverseFqdn: string } } };
}

/** The addresses that there are, by their names. */
export const addressesIn = ({ clouds }: Life): Record<string, string> =>
  Object.fromEntries(
    clouds.platform
      .collection<Address>("arm.microsoft.network/publicipaddresses")
      .values()
      .map(({ name, body: { properties } }) => [name, properties.ipAddress]),
  );

/** Until it has succeeded, while the former address is held still. */
export async function replaced(life: Life, gatewayId: string, body: { back?: true } = {}): Promise<Operation> {
  const { id } = (await life.partner.startAddressReplacement({ gatewayId, body })).body;
  await life.pass(3 * 3600_000);
  return (await life.partner.getOperation({ operationId: id })).body;
}
