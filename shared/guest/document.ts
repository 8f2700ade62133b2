/** The guest document: what a gateway's Windows is to look like inside, as data that the static engine tests and sets. */
import { gunzipSync, gzipSync } from "node:zlib";
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";
import { openServices } from "../azure/services.ts";
import type { Services } from "../tenants/spec.ts";
import type { SecretReference } from "../vault/reference.ts";

const secretReference = z.strictObject({
  vaultUrl: z.url({ protocol: /^https$/ }),
  name: z.string().min(1),
  version: z.string().min(1),
});

/** One text for the whole value: a literal, or a prefix followed by a secret that the machine pulls itself. */
const registryValue = z.strictObject({
  path: z.string().regex(/^HKLM\\[^\0]+$/, "must be a key under HKLM"),
  name: z.string().min(1),
  type: z.literal("String"),
  value: z.string().optional(),
  secret: secretReference.optional(),
  prefix: z.string().optional(),
});

export const guestDocumentSchema = z.strictObject({
  schema: z.literal(1),
  /** Grows with every change of meaning; the machine refuses a lower one than it has seen. */
  generation: z.int().min(1),
  /** Windows features by their name for Install-WindowsFeature. */
  features: z.array(z.string().regex(/^[A-Za-z0-9-]+$/)),
  smtp: z.strictObject({
    fqdn: z.string().min(1),
    smartHost: z.string().min(1),
    inboundTls: z.boolean(),
    outboundTls: z.boolean(),
    /** Recipient domains that anybody's mail is relayed for. */
    relayFor: z.array(z.string().min(1)),
    /** Addresses and IPv4 ranges whose mail is relayed to every domain; none when left out. */
    relayFrom: z.array(z.string().min(1)).optional(),
  }),
  registry: z.array(registryValue),
  firewall: z.array(
    z.strictObject({
      name: z.string().regex(/^[A-Za-z0-9 .-]+$/),
      port: z.int().min(1).max(65_535),
      protocol: z.enum(["TCP", "UDP"]),
      sources: z.array(z.string()).min(1).optional(),
    }),
  ),
  services: z.array(
    z.strictObject({
      name: z.string().regex(/^[A-Za-z0-9]+$/),
      startType: z.enum(["Automatic", "Manual", "Disabled"]),
      state: z.enum(["Running", "Stopped"]),
    }),
  ),
});

export type GuestDocument = z.output<typeof guestDocumentSchema>;

export interface GatewaySettings {
  generation: number;
  fqdn: string;
  /** The Microsoft 365 domain's own MX (manual, chapter 3.2). */
  smartHost: string;
  domains: string[];
  /** Name of the header that marks processed mail, for example `X-iqsuite-process`. */
  loopHeader: string;
  /** Secret that follows the header: mission B5, the same on every machine of the tenant. */
  loopGuid: SecretReference;
  services: Services;
  /** Client secret that the product signs in with at Entra; none before the first one was made. */
  clientSecret?: SecretReference | undefined;
  /** Whose mail is relayed to every domain, for example Exchange Online's published ranges. */
  relayFrom?: string[] | undefined;
}

/** Manual, chapters 2.1 (firewall), 3.2 (SMTP server) and 4.1 (loop header); mission B2, B3, B5. */
export const gatewayDocument = ({
  generation,
  fqdn,
  smartHost,
  domains,
  loopHeader,
  loopGuid,
  services,
  relayFrom,
  clientSecret,
}: GatewaySettings): GuestDocument =>
  guestDocumentSchema.parse({
    schema: 1,
    generation,
    features: ["SMTP-Server"],
    smtp: {
      fqdn,
      smartHost,
      inboundTls: true,
      outboundTls: true,
      relayFor: domains.toSorted(),
      ...(relayFrom === undefined ? {} : { relayFrom: relayFrom.toSorted() }),
    },
    registry: [
      {
        path: "HKLM\\SOFTWARE\\GBS\\iQ.Suite\\Inject",
        name: "AdditionalInjectHeaders",
        type: "String",
        secret: loopGuid,
        prefix: `${loopHeader}:`,
      },
      // Mission B13 (manual, chapter 6): the value's name is verbatim the product's.
      ...(clientSecret === undefined
        ? []
        : [
            {
              path: "HKLM\\SOFTWARE\\GBS\\iQ.Suite\\EWSScan",
              name: "OAuthClientSecret",
              type: "String" as const,
              secret: clientSecret,
            },
          ]),
    ],
    // Windows' firewall knows no port without a protocol: KeyManager's "any" is TCP here.
    firewall: openServices(services).map(({ name, port, sources }) => ({
      name: `Gatehouse ${name}`,
      port,
      protocol: "TCP" as const,
      ...(sources === undefined ? {} : { sources }),
    })),
    services: [{ name: "SMTPSVC", startType: "Automatic", state: "Running" }],
  });

/** cmd.exe stands between Run Command and the script and takes 8191 characters a line, the script's own path included. */
const MOST_CHARACTERS = 6 * 1024;

/**
 * Gzip in base64url: an alphabet that cmd.exe leaves alone, where `^ & % < > | "` would be interpreted.
 * Source: reports on Run Command's parameters, Azure/azure-powershell 29880 and 19087.
 */
export function encodeDocument(document: GuestDocument): string {
  const encoded = gzipSync(JSON.stringify(guestDocumentSchema.parse(document)), { level: 9 }).toString("base64url");
  if (encoded.length > MOST_CHARACTERS)
    throw new ControlPlaneError(
      "GuestDocumentTooLarge",
      `the guest document takes ${encoded.length} of ${MOST_CHARACTERS} characters; split it into several generations`,
      400,
    );
  return encoded;
}

export function decodeDocument(encoded: string): GuestDocument {
  try {
    return guestDocumentSchema.parse(
      JSON.parse(gunzipSync(Buffer.from(encoded, "base64url"), { maxOutputLength: 1024 * 1024 }).toString("utf8")),
    );
  } catch (cause) {
    throw new ControlPlaneError("GuestDocumentMalformed", "decoding a guest document", 400, false, { cause });
  }
}
