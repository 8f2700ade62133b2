/** Queue `delisting`: a confirmed listing, sent by the blocklists' timer or by who reads a gateway's heartbeat, taken up as a delisting case. */
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";

const listingSchema = z.object({
  partnerId: z.string().min(1),
  tenantId: z.string().min(1),
  /** Id of the blocklist, as in the zones' definitions. */
  list: z.string().regex(/^[a-z0-9]+(-[a-z0-9]+)*$/),
  address: z.ipv4(),
  /** The list's codes at the time. */
  codes: z.array(z.string()),
  /** When it was first seen; tells a listing from an earlier one of the same address on the same list. */
  since: z.iso.datetime(),
});

export type Listing = z.output<typeof listingSchema>;

/** Throws MessageMalformed, which no repetition mends. */
export function parseListing(message: unknown): Listing {
  const parsed = listingSchema.safeParse(message);
  if (parsed.success) return parsed.data;
  const why = parsed.error.issues.map(({ path, message: problem }) => `${path.join(".") || "body"}: ${problem}`).join("; ");
  throw new ControlPlaneError("MessageMalformed", `reading a listing from the queue: ${why}`, 400);
}

/**
 * Id of the case of a listing, of its orchestration and of the message that asks for it: the same listing gives the same id however often
 * it is told, and a later listing of the same address another one. Letters, digits, dots and dashes.
 */
export const caseIdOf = ({ list, address, since }: Pick<Listing, "list" | "address" | "since">): string =>
  `delisting-${list}-${address}-${since.replace(/\.\d+/, "").replace(/[-:]/g, "").toLowerCase()}`;
