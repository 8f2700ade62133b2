/** A gateway's name at its partner. */
import * as z from "zod";

/** The tenant's id and the machine's name: part of URLs, so letters, digits and dashes. */
export const gatewayIdSchema = z.string().regex(/^[a-z][a-z0-9-]{2,127}$/, "must be a gateway's id, such as contoso-gateway-1");

/** From the tenant's id and the machine's Azure resource id, or its name alone. */
export const gatewayIdOf = (tenantId: string, virtualMachineId: string): string =>
  `${tenantId}-${virtualMachineId.split("/").at(-1) ?? ""}`.toLowerCase();
