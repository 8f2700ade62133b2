/** What a webhook receives: a CloudEvent 1.0 in structured JSON, signed as Standard Webhooks says. */
import type { Event } from "../api/event.ts";

/** An event, or a test, which is about no tenant. */
export type Notice = Omit<Event, "tenantId"> & { tenantId?: string | undefined };

/** `tenantid` is an extension attribute, which CloudEvents wants in lower case. */
export const cloudEventOf = ({ id, type, tenantId, subject, at, data }: Notice, publicUrl: string): string =>
  JSON.stringify({
    specversion: "1.0",
    id,
    source: tenantId === undefined ? `${publicUrl}/api` : `${publicUrl}/api/tenants/${tenantId}`,
    type,
    subject,
    time: at,
    datacontenttype: "application/json",
    ...(tenantId === undefined ? {} : { tenantid: tenantId }),
    data,
  });

/** One signature a secret: a receiver that knows any of them can check it. The id is the event's, the same at each try. */
export async function signedHeaders(
  { id, body, secrets }: { id: string; body: string; secrets: readonly string[] },
  milliseconds: number,
): Promise<Record<string, string>> {
  const { Webhook } = await import("standardwebhooks");
  const at = new Date(milliseconds);
  return {
    "content-type": "application/cloudevents+json; charset=utf-8",
    "user-agent": "gatehouse",
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(milliseconds / 1000)),
    "webhook-signature": secrets.map((secret) => new Webhook(secret).sign(id, at, body)).join(" "),
  };
}
