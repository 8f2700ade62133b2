/** A delisting case in the API: one address on one blocklist, from its confirmation until it is found gone. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { findingSchema } from "./plan.ts";

export const caseIdSchema = z
  .string()
  .regex(/^delisting-[a-z0-9.-]{8,120}$/, "must be a case's id, as GET /api/delistings lists them");

/**
 * `opened`: the list is asked once more, and evidence is gathered. `remediation`: something has to be put right before asking makes sense.
 * `cooldown`: asking has to wait, since lists refuse who asks again and again. `ready`: a person can ask for the removal, or approve that we
 * do. `submitted`: our request is being sent. `waiting`: the list was asked. `expiring`: it goes by itself. `verifying`: it looks gone.
 * `escalated`: too long, or beyond asking; still watched. `closed`: it is over.
 */
export const caseStates = [
  "opened",
  "remediation",
  "cooldown",
  "ready",
  "submitted",
  "waiting",
  "expiring",
  "verifying",
  "escalated",
  "closed",
] as const;

/** What only a person can do, with everything prefilled. */
export const taskSchema = z.object({
  kind: z
    .enum(["askForRemoval", "approveRequest", "putRight", "replaceAddress", "stepIn"])
    .describe("approveRequest: we send the request, once somebody says so. stepIn: what was tried did not help."),
  title: z.string(),
  link: z.url().describe("Opens at the listed address where the list can do that."),
  text: z.string().describe("Ready to be copied."),
  fields: z.array(z.object({ label: z.string(), value: z.string() })),
  note: z.string(),
  steps: z.array(z.string()).describe("What to do there, in order."),
  since: z.iso.datetime(),
  reminders: z.int().min(0),
});

export const evidenceSchema = z.object({
  at: z.iso.datetime(),
  verdict: z.enum(["listed", "clean", "unknown"]),
  codes: z.array(z.object({ code: z.string(), meaning: z.string().optional() })),
  reasons: z.array(z.string()).describe("The list's own words (TXT)."),
  reverseNames: z.array(z.string()).optional().describe("PTR names of the address; left out when DNS gave no answer."),
  forwardConfirmed: z.boolean().optional().describe("Whether one of them leads back to the address."),
  gateway: z
    .object({ id: z.string(), name: z.string().describe("What it says in its EHLO."), health: z.string() })
    .optional()
    .describe("Left out when no gateway has the address any more."),
  reply: z.string().optional().describe("Microsoft 365's last reply to it, word for word."),
  repliedAt: z.iso.datetime().optional(),
  queue: z.int().min(0).optional().describe("Mail that waits in it."),
  badmail: z.int().min(0).optional(),
  allowedBySpf: z
    .array(z.object({ domain: z.string(), allowed: z.boolean().optional().describe("Left out when DNS gave no answer.") }))
    .optional(),
  otherLists: z.array(z.object({ list: z.string(), title: z.string(), replaceAddress: z.boolean() })).optional(),
  differences: z
    .array(z.string())
    .optional()
    .describe("What of the gateway is not as it should be; left out when nobody looked yet."),
});

export const delistingSchema = z.object({
  id: caseIdSchema,
  tenantId: tenantIdSchema,
  address: z.ipv4(),
  list: z.string(),
  listTitle: z.string(),
  codes: z.array(z.string()).describe("The list's codes when the listing was confirmed."),
  listedSince: z.iso.datetime(),
  state: z.enum(caseStates),
  stateSince: z.iso.datetime(),
  outcome: z
    .enum(["delisted", "released", "dismissed"])
    .optional()
    .describe("released: the address is no longer the tenant's. dismissed: the list did not say it a second time."),
  previousCaseId: caseIdSchema.optional().describe("The last case of this address on this list."),
  evidence: evidenceSchema.optional(),
  findings: z.array(findingSchema),
  task: taskSchema.optional(),
  acknowledged: z.object({ at: z.iso.datetime(), by: z.enum(["Partner", "Operator"]), ticket: z.string().optional() }).optional(),
  submissions: z
    .array(z.object({ at: z.iso.datetime(), by: z.enum(["Partner", "Operator"]) }))
    .describe("When the list was last asked about this address, also in former cases."),
  history: z.array(z.object({ at: z.iso.datetime(), state: z.enum(caseStates), message: z.string() })),
  deadline: z.iso.datetime(),
  openedAt: z.iso.datetime(),
  lastUpdatedAt: z.iso.datetime(),
  closedAt: z.iso.datetime().optional(),
});

export const acknowledgementSchema = z.strictObject({
  ticket: z.string().trim().min(1).max(120).optional().describe("What the list calls the request."),
});

export type Delisting = z.output<typeof delistingSchema>;
export type CaseState = (typeof caseStates)[number];
export type Task = z.output<typeof taskSchema>;
export type Evidence = z.output<typeof evidenceSchema>;
