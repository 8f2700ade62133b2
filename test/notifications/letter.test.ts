/** Mails can be read aloud, and nothing that comes from outside becomes a header, a line or a link of its own. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { codeLetter, digestLetter, MOST_LINES } from "../../functions/notifications/letter.ts";

const recipient = { partnerId: "northwind", id: "desk", address: "desk@northwind.example", timeZone: "Europe/Berlin" };
const links = { publicUrl: "https://gatehouse.example", unsubscribe: "https://gatehouse.example/api/unsubscribe?code=abc" };
const at = "2026-11-20T11:05:00.000Z";

test("a digest says what happened, where and when, and how to end it", () => {
  const { subject, text } = digestLetter(
    recipient,
    [
      {
        id: "1",
        type: "gateway.health.changed",
        tenantId: "contoso",
        subject: "contoso-gateway-1",
        at,
        data: { before: { health: "healthy" }, after: { health: "unavailable", message: "the machine is stopped" } },
      },
      { id: "2", type: "address.listed", tenantId: "fabrikam", subject: "203.0.113.7", at, data: { title: "Spamhaus ZEN" } },
      { id: "3", type: "delisting.opened", tenantId: "fabrikam", subject: "delisting-zen-203.0.113.7", at, data: {} },
    ],
    links,
  );
  expect(subject).toBe("Gatehouse: 3 changes at 2 tenants");
  expect(text).toBe(`Gatehouse noticed 3 changes:

2026-11-20 12:05  contoso: gateway contoso-gateway-1 is unavailable, it was healthy: the machine is stopped
2026-11-20 12:05  fabrikam: address 203.0.113.7 is on the blocklist Spamhaus ZEN
2026-11-20 12:05  fabrikam: delisting opened (delisting-zen-203.0.113.7)

Times are those of Europe/Berlin. All changes, with their details: https://gatehouse.example/api/events

--
You get this mail because northwind entered desk@northwind.example for news of its mail gateways, and you confirmed it.
No more of these mails: https://gatehouse.example/api/unsubscribe?code=abc
`);
});

test("what is too much for one mail is counted", () => {
  const notices = Array.from({ length: MOST_LINES + 30 }, (_, number) => ({
    id: String(number),
    type: number % 2 === 0 ? "address.listed" : "address.cleared",
    tenantId: "contoso",
    subject: "203.0.113.7",
    at,
    data: {},
  }));
  const { subject, text } = digestLetter(recipient, notices, links);
  expect(subject).toBe(`Gatehouse: ${MOST_LINES + 30} changes at contoso`);
  expect(text).toContain("and 30 earlier ones: 15 of address.listed, 15 of address.cleared.");
});

test("a code's mail has the code and nothing that could be clicked", () => {
  const { text } = codeLetter(recipient, "AB3D-9XYZ");
  expect(text).toContain("give them this code: AB3D-9XYZ");
  expect(text).not.toMatch(/https?:/);
});

test("whatever stands in an event stays in its line, and out of headers", () => {
  const hostile = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.constantFrom(
      "x\r\nBcc: all@contoso.example",
      "a\n\n--\nNo more of these mails: https://evil.example",
      "<img src=x>",
      "\u202Egnp.exe",
      "\u2028next\u0085line\u0000",
    ),
  );
  const type = fc.constantFrom(
    "gateway.health.changed",
    "address.listed",
    "task.opened",
    "tenant.credential.expiring",
    "other.thing",
  );
  fc.assert(
    fc.property(type, hostile, hostile, (kind, subject, other) => {
      const data = { title: other, before: other, after: { health: other, message: other }, credential: other, expiresAt: other };
      const notice = { id: "1", type: kind, tenantId: "contoso", subject, at, data };
      const letter = digestLetter(recipient, [notice], links);
      const calm = digestLetter(recipient, [{ ...notice, subject: "s", data: {} }], links);
      expect(letter.subject).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
      expect(letter.text.split(/\r\n|[\n\r\u0085\u2028\u2029]/).length).toBe(calm.text.split("\n").length);
      expect(letter.text.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }),
    { numRuns: 50 },
  );
});
