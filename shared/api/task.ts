/** A task in the API: what only a person can do, with everything prefilled, and what was seen when somebody last looked whether it is done. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { operationIdSchema } from "./operation.ts";

export const taskIdSchema = z.string().regex(/^[a-z][a-z0-9-]{8,160}$/, "must be a task's id, as GET /api/tasks lists them");

/**
 * `consent`: an administrator of the customer's Microsoft 365 lets our application in. `azureAccess`: an owner of the subscription does.
 * `certificate`: the gateway's certificate is imported, or its issuer set up. `publishSpf`: a domain's SPF record lists the gateways.
 * `withdrawSpf`: it no longer does. `ucmReport`: the check script for an Exchange on premises reports that nothing is missing.
 * `delisting`: a blocklist is asked to remove an address. `emergencyRotation`: what a compromised credential was used for is found out.
 * `changePassword`: a password that only a person can change is as old as the spec lets it be.
 * `restoreMail`: mail is led back to gateways that were down too often.
 */
export const taskKinds = [
  "consent",
  "azureAccess",
  "certificate",
  "publishSpf",
  "withdrawSpf",
  "ucmReport",
  "delisting",
  "emergencyRotation",
  "changePassword",
  "restoreMail",
] as const;

/** `expired`: nobody did it in time. `canceled`: nobody needs it any more. */
export const taskStates = ["open", "done", "expired", "canceled"] as const;

/** A DNS record, letter by letter. */
export const dnsRecordSchema = z.object({
  name: z.string(),
  type: z.literal("TXT"),
  ttl: z.int().min(1),
  value: z.string().optional().describe("Left out where the record is to be removed."),
  strings: z.array(z.string()).optional().describe("The same as a zone file has it: strings of 255 bytes at most."),
  replaces: z.string().optional().describe("The record that it takes the place of; a second one would make both void."),
});

export const verificationSchema = z.object({
  at: z.iso.datetime().describe("Since when looks see this."),
  found: z
    .enum(["done", "missing", "unknown", "needless"])
    .describe("unknown: nobody could look. needless: it is wanted no more."),
  message: z.string().describe("What was seen; of what is missing, what."),
});

export const taskSchema = z.object({
  id: taskIdSchema,
  tenantId: tenantIdSchema,
  kind: z.enum(taskKinds),
  title: z.string(),
  instructions: z.string(),
  link: z.url().optional().describe("What a person has to open, or where what is needed is had."),
  text: z.string().optional().describe("Ready to be copied."),
  fields: z.array(z.object({ label: z.string(), value: z.string() })).describe("Ready to be filled in."),
  record: dnsRecordSchema.optional(),
  operationId: operationIdSchema.optional().describe("The operation that waits for it."),
  state: z.enum(taskStates),
  createdAt: z.iso.datetime(),
  reminders: z.int().min(0).describe("How many went out as events, after one, three and seven days."),
  remindAt: z.iso.datetime().optional().describe("When the next one goes out."),
  expiresAt: z.iso.datetime(),
  endedAt: z.iso.datetime().optional(),
  verification: verificationSchema.optional().describe("The last look whether it is done."),
});

export type Task = z.output<typeof taskSchema>;
export type TaskKind = (typeof taskKinds)[number];
export type TaskState = (typeof taskStates)[number];
export type DnsRecord = z.output<typeof dnsRecordSchema>;
export type Verification = z.output<typeof verificationSchema>;
