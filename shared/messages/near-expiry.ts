/**
 * The messages on queue `rotation`: our own sweep's "this credential is due", the API's "this rotation was asked for", and Key Vault's
 * near-expiry events, and those of new certificates, as Event Grid delivers them, in its own schema or as CloudEvents, one or several in a
 * body. Source: "Azure Key Vault as Event Grid source".
 */
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";
import { type CredentialName, credentialNames } from "../vault/credential-names.ts";

export type Due =
  | { kind: "credential"; partnerId: string; tenantId: string; name: CredentialName; generation: number }
  | { kind: "asked"; partnerId: string; operationId: string }
  /** `added`: that version is new, and not the one that nears its end. */
  | { kind: "secret"; vaultUrl: string; secretName: string; version: string; added: boolean };

/** What the sweep sends. */
export interface CredentialDue {
  kind: "credentialDue";
  partnerId: string;
  tenantId: string;
  name: CredentialName;
  /** Of the credential as it was seen due; a later one has been dealt with. */
  generation: number;
}

/** What the API sends: the operation stands in its store, and says of which credential. */
export interface RotationAsked {
  kind: "rotationAsked";
  partnerId: string;
  operationId: string;
}

const rotationAskedSchema = z.strictObject({
  kind: z.literal("rotationAsked"),
  partnerId: z.string().min(1).max(64),
  operationId: z.string().min(1).max(64),
}) satisfies z.ZodType<RotationAsked>;

const credentialDueSchema = z.strictObject({
  kind: z.literal("credentialDue"),
  partnerId: z.string().min(1).max(64),
  tenantId: z.string().min(1).max(64),
  name: z.enum(credentialNames),
  generation: z.int().min(1),
}) satisfies z.ZodType<CredentialDue>;

const eventSchema = z
  .looseObject({
    /** CloudEvents says `type`, Event Grid's own schema `eventType`. */
    type: z.string().min(1).optional(),
    eventType: z.string().min(1).optional(),
    data: z.record(z.string(), z.unknown()),
  })
  .refine(({ type, eventType }) => type !== undefined || eventType !== undefined);

/** An event of another kind is somebody else's business and gives nothing. Throws MessageMalformed. */
export function parseDue(message: unknown): Due[] {
  const asked = rotationAskedSchema.safeParse(message);
  if (asked.success) {
    const { partnerId, operationId } = asked.data;
    return [{ kind: "asked", partnerId, operationId }];
  }
  const own = credentialDueSchema.safeParse(message);
  if (own.success) {
    const { partnerId, tenantId, name, generation } = own.data;
    return [{ kind: "credential", partnerId, tenantId, name, generation }];
  }
  const events = z.union([eventSchema.transform((event) => [event]), z.array(eventSchema).min(1)]).safeParse(message);
  if (!events.success)
    throw new ControlPlaneError("MessageMalformed", "the message is neither a due credential nor an event of Key Vault", 400);
  return events.data.flatMap(({ type, eventType = type ?? "", data }) => {
    const [, what] =
      /^Microsoft\.KeyVault\.((?:Secret|Certificate)(?:NearExpiry|Expired)|CertificateNewVersionCreated)$/.exec(eventType) ?? [];
    return what === undefined ? [] : [secretOf(data, what === "CertificateNewVersionCreated")];
  });
}

/** The documentation's own sample has property names with blanks at their end: names are read trimmed, and the id says it all. */
function secretOf(data: Record<string, unknown>, added: boolean): Due {
  const id = Object.entries(data).find(([name]) => name.trim().toLowerCase() === "id")?.[1];
  const match = /^(https:\/\/[^\s]+?)\/(?:secrets|certificates)\/([0-9A-Za-z-]+)\/([0-9A-Za-z]+)$/.exec(
    typeof id === "string" ? id.trim() : "",
  );
  const [, vaultUrl, secretName, version] = match ?? [];
  if (!vaultUrl || !secretName || !version)
    throw new ControlPlaneError("MessageMalformed", "the event's data.Id names no version of a secret or certificate", 400);
  return { kind: "secret", vaultUrl, secretName, version, added };
}
