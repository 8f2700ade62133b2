/**
 * What became of a mail in an organisation, by Exchange Online's own message trace: where it came from and who took it.
 *
 * Source: "List messageTraces" (Microsoft Graph v1.0). Its permission, ExchangeMessageTrace.Read.All, is none that onboarding insists on,
 * and the global cloud alone has it: without it nothing can be told, and nothing fails.
 */
import * as z from "zod";
import { observing } from "../resources/observing.ts";
import type { Observed } from "../resources/resource.ts";
import { type Graph, literal } from "./client.ts";

export interface MessageTrace {
  /** Null for a mail that a mailbox sent. */
  fromIp: string | null;
  /** Null for a mail that a mailbox took. */
  toIp: string | null;
  status: string;
}

export interface TracedMail {
  senderAddress: string;
  recipientAddress: string;
  subject: string;
  /** In milliseconds since 1970; a trace looks ten days far at most. */
  sentAt: number;
}

export interface MessageTraces {
  /** A mail that passes the gateway is there twice: on its way out, and when it came back. */
  tracesOf(organization: string, mail: TracedMail, now: number): Promise<Observed<MessageTrace[]>>;
}

const traceSchema = z.looseObject({
  subject: z.string().nullish(),
  fromIP: z.string().nullish(),
  toIP: z.string().nullish(),
  status: z.string().default("unknown"),
});

const MINUTE = 60_000;

export const createMessageTraces = (graph: Graph): MessageTraces => ({
  tracesOf: (organization, { senderAddress, recipientAddress, subject, sentAt }, now) =>
    observing(async () => {
      const conditions = [
        `receivedDateTime ge ${new Date(sentAt - MINUTE).toISOString()}`,
        `receivedDateTime le ${new Date(now + MINUTE).toISOString()}`,
        `senderAddress eq ${literal(senderAddress)}`,
        `recipientAddress eq ${literal(recipientAddress)}`,
      ];
      const path = `/admin/exchange/tracing/messageTraces?$filter=${conditions.join(" and ").replaceAll(" ", "%20")}`;
      const traces = await graph.list(organization, path, traceSchema);
      return traces
        .filter((trace) => trace.subject === subject)
        .map(({ fromIP = null, toIP = null, status }) => ({ fromIp: fromIP, toIp: toIP, status }));
    }),
});
