/** The agreement with the engine, not its schema's code: what a machine reads out of a document. */
import * as z from "zod";

const secret = z.object({ vaultUrl: z.string(), name: z.string(), version: z.string() });
const valued = { value: z.string().optional(), secret: secret.optional(), prefix: z.string().optional() };

export const documentSchema = z.object({
  schema: z.number(),
  generation: z.number().int(),
  part: z.object({ number: z.number().int(), of: z.number().int() }).optional(),
  beside: z.string().optional(),
  evidence: z
    .array(z.object({ file: z.string(), path: z.string().optional(), whenPresent: z.literal(true).optional() }))
    .default([]),
  features: z.array(z.string()).default([]),
  files: z
    .array(
      z.object({
        path: z.string(),
        content: z.string().optional(),
        secret: secret.optional(),
        absent: z.literal(true).optional(),
      }),
    )
    .default([]),
  certificates: z
    .array(
      z.object({
        thumbprint: z.string(),
        store: z.string(),
        secret: secret.optional(),
        absent: z.literal(true).optional(),
      }),
    )
    .default([]),
  smtp: z
    .object({
      fqdn: z.string(),
      smartHost: z.string(),
      inboundTls: z.boolean(),
      outboundTls: z.boolean(),
      relayFor: z.array(z.string()),
      relayFrom: z.array(z.string()).optional(),
    })
    .optional(),
  registry: z
    .array(
      z.object({
        path: z.string(),
        name: z.string(),
        type: z.enum(["String", "ExpandString", "MultiString", "DWord", "QWord"]),
        value: z.union([z.string(), z.number(), z.array(z.string())]).optional(),
        secret: secret.optional(),
        prefix: z.string().optional(),
      }),
    )
    .default([]),
  xml: z
    .array(
      z.object({
        file: z.string(),
        whenPresent: z.literal(true).optional(),
        nodes: z.array(
          z.object({
            path: z.string(),
            create: z.literal(true).optional(),
            once: z.string().optional(),
            twin: z.string().optional(),
            ...valued,
          }),
        ),
      }),
    )
    .default([]),
  defender: z.object({ exclusions: z.array(z.string()) }).optional(),
  firewall: z
    .array(
      z.object({
        name: z.string(),
        port: z.union([z.number(), z.string()]),
        protocol: z.enum(["TCP", "UDP"]),
        direction: z.literal("Outbound").optional(),
        sources: z.array(z.string()).optional(),
      }),
    )
    .optional(),
  firewallNames: z.array(z.string()).optional(),
  tasks: z
    .array(
      z.object({
        name: z.string(),
        execute: z.string(),
        arguments: z.string().optional(),
        everyInMinutes: z.number(),
      }),
    )
    .default([]),
  groups: z.array(z.object({ group: z.string(), members: z.array(z.string()) })).default([]),
  rights: z.array(z.object({ right: z.string(), accounts: z.array(z.string()) })).default([]),
  passwords: z
    .array(
      z.object({
        account: z.string(),
        secret,
        earlier: z.array(secret).default([]),
        reset: z.literal(true).optional(),
      }),
    )
    .default([]),
  logins: z.array(z.object({ server: z.string(), login: z.string(), secret })).default([]),
  services: z
    .array(
      z.object({
        name: z.string(),
        startType: z.enum(["Automatic", "Manual", "Disabled"]),
        state: z.enum(["Running", "Stopped"]),
        restartAfter: z.array(z.string()).default([]),
        whenPresent: z.literal(true).optional(),
      }),
    )
    .default([]),
});

export type MachineDocument = z.output<typeof documentSchema>;
export type SecretName = z.output<typeof secret>;
/** Something in a document whose text stands there or comes out of a vault. */
export interface Valued {
  value?: string | number | string[] | undefined;
  secret?: SecretName | undefined;
  prefix?: string | undefined;
}

/** The engine's own failures: a code of its contract, and words that hold no value. */
export class EngineFailure extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}
