/** The sender portal of a simulated blocklist: a page with a form that a person fills to have an address removed. */
import * as z from "zod";
import type { SimulatedRequest, SimulatedResponse } from "../simulator.ts";
import { type BlocklistZones, removalRequestSchema } from "./blocklists.ts";

/** `GET` and `POST /portal/{zone}`; the form may come prefilled by the query: `?address=203.0.113.7`. */
export function answerPortal(zones: BlocklistZones, { method, url, body }: SimulatedRequest): SimulatedResponse {
  const zone = decodeURIComponent(url.pathname.split("/")[2] ?? "").toLowerCase();
  if (!zones.has(zone)) return page(404, "No such list", "<p>There is no blocklist of this name.</p>");
  if (method === "GET") return page(200, `Removal from ${zone}`, form(url.searchParams.get("address") ?? ""));
  if (method !== "POST") return page(405, "Not here", "<p>Open this page and send its form.</p>");
  const given = removalRequestSchema.safeParse(body);
  if (!given.success) {
    const why = `<pre>${escaped(z.prettifyError(given.error))}</pre>`;
    return page(400, "Something is missing", why + form(addressIn(body)));
  }
  const { address } = given.data;
  if (!zones.requestRemoval(zone, address)) return page(404, "Not listed", `<p>${escaped(address)} is not on this list.</p>`);
  return { ...page(202, "Thank you", `<p>${escaped(address)} leaves this list in about 30 minutes.</p>`), effect: "write" };
}

function addressIn(body: unknown): string {
  const { address } = (body ?? {}) as { address?: unknown };
  return typeof address === "string" ? address : "";
}

const form = (address: string): string => `
<form method="post">
  <label>Address <input name="address" value="${escaped(address)}" required></label>
  <label>Your mail address <input name="mailbox" type="email" required></label>
  <label>Why should it be removed? <textarea name="reason" required></textarea></label>
  <button>Ask for removal</button>
</form>`;

const page = (status: number, title: string, content: string): SimulatedResponse => ({
  status,
  headers: { "content-type": "text/html; charset=utf-8", "content-security-policy": "default-src 'none'; form-action 'self'" },
  body: `<!doctype html><html lang="en"><meta charset="utf-8"><title>${escaped(title)}</title><h1>${escaped(title)}</h1>${content}</html>`,
});

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
