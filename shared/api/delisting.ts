/** A delisting case in the API: one address on one blocklist, from its confirmation until it is found gone. */
import * as z from "zod";
import { tenantIdSchema } from "../tenants/spec.ts";
import { findingSchema } from "./plan.ts";

export const caseIdSchema = z
  .string()
  .regex(/^delisting-[a-z0-9.-]{8,120}$/, "must be a case's id, as GET /api/delistings lists them");

/**
 * `opened`: evidence is being gathered. `remediation`: something has to be put right before asking makes sense. `ready`: a person can ask
 * for the removal. `waiting`: it was asked for, or goes by itself. `verifying`: it looks gone. `escalated`: too long, or beyond asking;
 * still watched. `closed`: it is over.
 */
export const caseStates = ["opened", "remediation", "ready", "waiting", "verifying", "escalated", "closed"] as const;

/** What only a person can do, with everything prefilled. */
export const taskSchema = z.object({
  kind: z.enum(["askForRemoval", "putRight", "replaceAddress"]),
  title: z.string(),
  link: z.url().describe("Opens at the listed address where the list can do that."),
  text: z.string().describe("Ready to be copied."),
  fields: z.array(z.object({ label: z.string(), value: z.string() })),
  note: z.string(),
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
  outcome: z.enum(["delisted", "released"]).optional().describe("released: the address is no longer the tenant's."),
  previousCaseId: caseIdSchema.optional().describe("The last case of this address on this list."),
  evidence: evidenceSchema.optional(),
  findings: z.array(findingSchema),
  task: taskSchema.optional(),
  acknowledged: z.object({ at: z.iso.datetime(), by: z.enum(["Partner", "Operator"]), ticket: z.string().optional() }).optional(),
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
