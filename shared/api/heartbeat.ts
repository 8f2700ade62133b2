/** A machine's heartbeat in the API: what its scheduled task tells every ten minutes, and what a gateway shows of it. */
import * as z from "zod";
import { gatewayIdSchema } from "./gateway-id.ts";
import { partnerIdSchema } from "./partner.ts";

const text = (longest: number) =>
  z
    .string()
    .max(longest)
    .regex(/^\P{Cc}*$/u, "must hold no control character");
const count = z.int().min(0).max(10_000_000);
const folderSchema = z.object({
  count,
  oldestAgeInSeconds: z.int().min(0).nullable().describe("Age of the oldest file; null when there is none."),
});

export const heartbeatInputSchema = z.object({
  version: z.literal(1),
  sentAt: z.iso.datetime().describe("By the machine's own clock."),
  queue: folderSchema.nullable().describe("Mail that waits; null where there is no SMTP server."),
  badmail: folderSchema.nullable().describe("Mail that could neither be delivered nor returned."),
  services: z.array(z.object({ name: text(256), state: text(32) })).max(50),
  certificate: z
    .object({ thumbprint: z.string().regex(/^[0-9A-F]{40}$/), notAfter: z.iso.datetime(), selfSigned: z.boolean() })
    .nullable()
    .describe("The certificate that the SMTP server shows."),
  probe: z
    .object({
      at: z.iso.datetime(),
      host: text(253),
      stage: text(16).describe("How far it came: connect, greeting, EHLO, STARTTLS, TLS, MAIL or RCPT."),
      reply: text(300).describe("Microsoft 365's last reply, such as 250 2.1.5 Recipient OK; empty when nobody answered."),
    })
    .nullable()
    .describe("A look at Microsoft 365's door from the machine's own address; it ends before any message."),
  refused: z
    .array(
      z.object({
        reply: text(64)
          .regex(/^[45]\d\d [45]\.\d{1,3}\.\d{1,3}( blocked using blocklist)?$/, "must be a code, such as 550 5.7.606")
          .describe("Status and enhanced code; of 5.7.1 also whether Microsoft's own block list is the reason."),
        count: count.min(1),
        lastAt: z.iso.datetime(),
      }),
    )
    .max(20)
    .nullable()
    .optional()
    .describe(
      "What Microsoft 365 has refused since the last heartbeat of the mail that the machine sent, as the SMTP service's own log says; null where it writes none.",
    ),
  applied: z.object({ generation: count, part: count }).describe("The guest document that was applied last."),
  scanners: z.array(text(256)).max(50).describe("Services of packet inspection or virus scanners that were found."),
  directory: z
    .object({
      hash: z.string().regex(/^[0-9a-f]{64}$/),
      at: z.iso.datetime().describe("When the machine put it there."),
    })
    .nullable()
    .optional()
    .describe("The tenant's directory as the machine has it; null where it has none yet, left out where it is to have none."),
});
export type HeartbeatInput = z.output<typeof heartbeatInputSchema>;

/** What a heartbeat is judged by. `smtp`: Microsoft 365's last reply to the machine. */
export const aspects = ["queue", "badmail", "service", "certificate", "smtp"] as const;
export type Aspect = (typeof aspects)[number];

/** One reading of the last day, ten minutes each. */
export const readingSchema = z.object({
  at: z.iso.datetime(),
  queue: count.nullable(),
  badmail: count.nullable(),
  oldestAgeInSeconds: z.int().min(0).nullable(),
  reply: z.string(),
  levels: z
    .partialRecord(z.enum(aspects), z.enum(["warning", "error"]))
    .optional()
    .describe("Left out where all is well."),
});
export type Reading = z.output<typeof readingSchema>;

/** As the product's own monitor says it (manual, chapter 3.5). */
export const levels = ["information", "warning", "error"] as const;
export type Level = (typeof levels)[number];

/** What several readings agree on: one bad reading is a warning, and so is one good one after an error. */
export const findingSchema = z.object({ about: z.enum(aspects), level: z.enum(["warning", "error"]) });
export type ReportFinding = z.output<typeof findingSchema>;

const levelSchema = z.enum(levels).nullable().describe("null where there is no SMTP server.");

export const heartbeatSchema = heartbeatInputSchema.extend({
  levels: z
    .object({ queue: levelSchema, badmail: levelSchema })
    .describe("What the counts mean by the thresholds of the tenant's spec."),
  receivedAt: z.iso.datetime(),
  readings: z.array(readingSchema).describe("The last 24 hours, one each ten minutes, oldest first."),
});
export type Heartbeat = z.output<typeof heartbeatSchema>;

/** A machine's name at this door: the partner's id, a dot, and the gateway's id. It is an address and gives no right. */
export const vmIdSchema = z
  .string()
  .max(170)
  .regex(/^[^.]+\.[^.]+$/, "must be a machine's id such as northwind.contoso-gateway-1")
  .refine((id) => {
    const { partnerId, gatewayId } = partsOfVmId(id);
    return partnerIdSchema.safeParse(partnerId).success && gatewayIdSchema.safeParse(gatewayId).success;
  }, "must be a machine's id such as northwind.contoso-gateway-1");

export const vmIdOf = (partnerId: string, gatewayId: string): string => `${partnerId}.${gatewayId}`;

export function partsOfVmId(vmId: string): { partnerId: string; gatewayId: string } {
  const [partnerId = "", gatewayId = ""] = vmId.split(".");
  return { partnerId, gatewayId };
}

export const heartbeatAcceptedSchema = z.object({ receivedAt: z.iso.datetime() });
