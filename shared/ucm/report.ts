/** What a check script found on a customer's premises: lines of `name=value`, signed with the key that the script was given. */
import { createHmac, timingSafeEqual } from "node:crypto";
import * as z from "zod";

const flag = z.enum(["True", "False"]).transform((value) => value === "True");
const count = z.coerce.number().int().min(0);

/** As PowerShell writes booleans and numbers; what the script didn't come to is left out. */
const foundSchema = z.object({
  account: flag,
  managedServiceAccount: flag,
  mailbox: flag,
  mailboxType: z.string().optional(),
  retentionPolicy: z.string().optional(),
  litigationHold: flag.optional(),
  archive: flag.optional(),
  senders: count.optional(),
  throttlingPolicy: z.string().optional(),
  ewsMaxConcurrency: z.string().optional(),
  ewsMaxSubscriptions: z.string().optional(),
  databases: count.optional(),
  databasesGranted: count.optional(),
  impersonation: flag.optional(),
});

export type PremisesReport = z.output<typeof foundSchema>;

/** `undefined` when the signature isn't the key's. */
export function verifiedLines({ report, signature }: { report: string; signature: string }, key: string): string | undefined {
  const bytes = Buffer.from(report, "base64");
  const wanted = createHmac("sha256", key).update(bytes).digest();
  const given = Buffer.from(signature, "hex");
  return given.length === wanted.length && timingSafeEqual(given, wanted) ? bytes.toString("utf8") : undefined;
}

/** `undefined` when the lines aren't a check script's. */
export function parseReport(lines: string): PremisesReport | undefined {
  const pairs = lines.split("\n").map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1).trim()]);
  return foundSchema.safeParse(Object.fromEntries(pairs)).data;
}
