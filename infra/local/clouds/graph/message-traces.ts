/**
 * `/admin/exchange/tracing/messageTraces` (Graph v1.0): what became of each message, by recipient.
 *
 * Sources: "List messageTraces" and "exchangeMessageTrace resource type": `eq` on each property, `ge` and `le` on the time; without a
 * time the last two days; at most ten days at once, and 90 days back; `$top` of 1 to 5000, 1000 by default.
 */
import type { MessageTrace } from "../simulator.ts";
import { badRequest } from "./answers.ts";
import { filtered, paged, parseFilter } from "./query.ts";
import type { Route } from "./route.ts";

const PAGE_SIZE = 1000;
const DAY = 24 * 60 * 60 * 1000;

export const messageTraceRoutes: Route[] = [
  {
    method: "GET",
    pattern: /^\/admin\/exchange\/tracing\/messageTraces$/,
    permissions: ["ExchangeMessageTrace.Read.All"],
    run: (graph) => {
      const { url } = graph.request;
      requireWindow(url);
      const now = graph.platform.now();
      const recent = url.searchParams.get("$filter")?.includes("receivedDateTime") === true ? 90 * DAY : 2 * DAY;
      const traces = (graph.platform.peers.messageTraces?.(graph.tenantId) ?? []).filter(
        ({ receivedAt }) => receivedAt > now - recent,
      );
      const { page, nextLink } = paged(filtered(traces.map(shown), url), url, PAGE_SIZE);
      return {
        status: 200,
        body: {
          "@odata.context": graph.context("admin/exchange/tracing/messageTraces"),
          value: page,
          ...(nextLink === undefined ? {} : { "@odata.nextLink": nextLink }),
        },
      };
    },
  },
];

function requireWindow(url: URL): void {
  const filter = url.searchParams.get("$filter");
  if (filter === null) return;
  const properties = parseFilter(filter).map(({ property }) => property);
  const known = [
    "id",
    "fromIP",
    "toIP",
    "messageId",
    "receivedDateTime",
    "recipientAddress",
    "senderAddress",
    "status",
    "subject",
  ];
  for (const property of properties)
    if (!known.includes(property)) throw badRequest(`The property '${property}' can't be filtered by.`, "BadRequest");
  const [from, to] = ["ge", "le"].map((operator) =>
    Date.parse(new RegExp(`receivedDateTime ${operator} (\\S+)`).exec(filter)?.[1] ?? ""),
  );
  if ((to ?? Number.NaN) - (from ?? Number.NaN) > 10 * DAY)
    throw badRequest("The time range can't be longer than 10 days.", "BadRequest");
}

const shown = ({ id, messageId, sender, recipient, subject, size, receivedAt, fromIp, toIp, status }: MessageTrace) => ({
  id,
  senderAddress: sender,
  recipientAddress: recipient,
  messageId,
  receivedDateTime: new Date(receivedAt).toISOString(),
  subject,
  size,
  fromIP: fromIp,
  toIP: toIp,
  status,
});
