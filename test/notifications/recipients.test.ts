/** Mail recipients over the wire: entered, confirmed by a code, shown, tested, and ended by whoever reads the mails. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { codeOf, unsubscribeLink } from "../../functions/notifications/codes.ts";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";
import { unique } from "../support/stores.ts";

let api: TestApi;
let partner: TestPartner;
beforeAll(async () => {
  api = await startApi();
  partner = await api.partner();
});
afterAll(() => api.stop());

const address = "desk@northwind.example";
const kept = (id: string) => api.world.stores.mailRecipients.get({ partnerId: partner.partnerId, id });

async function confirmed(): Promise<string> {
  const recipientId = unique("desk");
  await partner.api.putMailRecipient({ recipientId, body: { address } });
  const code = await codeOf(api.world.signer, await kept(recipientId));
  await partner.api.confirmMailRecipient({ recipientId, body: { confirmationCode: code } });
  return recipientId;
}

test("an address gets a code, and is confirmed by it however it is typed; the code stands in no answer, row or log line", async () => {
  const recipientId = unique("desk");
  const made = await partner.api.putMailRecipient({ recipientId, body: { address, types: ["gateway.*"] } });
  expect([made.status, made.body]).toMatchObject([201, { state: "unconfirmed", digestInMinutes: 15, mail: { failures: 0 } }]);
  const again = await partner.api.putMailRecipient({ recipientId, body: { address, types: ["gateway.*"] } });
  expect([again.status, again.body]).toEqual([200, made.body]);
  const code = await codeOf(api.world.signer, await kept(recipientId));
  await expect(partner.api.confirmMailRecipient({ recipientId, body: { confirmationCode: "0000-0000" } })).rejects.toMatchObject({
    code: "ConfirmationCodeInvalid",
  });
  const typed = ` ${code.toLowerCase().replace("-", " ").replaceAll("0", "o")} `;
  const right = await partner.api.confirmMailRecipient({ recipientId, body: { confirmationCode: typed } });
  expect(right.body).toMatchObject({ state: "confirmed" });
  expect((await partner.api.confirmMailRecipient({ recipientId, body: { confirmationCode: code } })).body).toEqual(right.body);
  const { value } = (await api.operator.api.listMailRecipients({ partnerId: partner.partnerId })).body;
  expect(value.map(({ id }) => id)).toContain(recipientId);
  const audited = await api.world.stores.audit.list({ partnerId: partner.partnerId }, {}, 100);
  expect(audited.items.map(({ action }) => action)).toContain("confirmMailRecipient");
  const seen = JSON.stringify([made.body, right.body, await kept(recipientId), api.logged, audited]);
  expect([code, typed.trim()].filter((one) => seen.includes(one))).toEqual([]);
});

test("ten wrong codes end the right one; another one is to be had, but not at once", async () => {
  const recipientId = unique("desk");
  await partner.api.putMailRecipient({ recipientId, body: { address } });
  const code = await codeOf(api.world.signer, await kept(recipientId));
  for (let number = 0; number < 10; number += 1)
    await expect(
      partner.api.confirmMailRecipient({ recipientId, body: { confirmationCode: `${number}` } }),
    ).rejects.toMatchObject({
      status: 400,
    });
  await expect(partner.api.confirmMailRecipient({ recipientId, body: { confirmationCode: code } })).rejects.toMatchObject({
    status: 400,
  });
  await expect(partner.api.sendCode({ recipientId })).rejects.toMatchObject({ code: "ConfirmationTooSoon" });
  const { confirmation } = await kept(recipientId);
  await api.world.stores.mailRecipients.change({ partnerId: partner.partnerId, id: recipientId }, () => ({
    confirmation: { ...confirmation, askedAt: "2026-01-01T00:00:00.000Z" },
  }));
  expect((await partner.api.sendCode({ recipientId })).status).toBe(202);
  const next = await codeOf(api.world.signer, await kept(recipientId));
  expect(next).not.toBe(code);
  expect((await partner.api.confirmMailRecipient({ recipientId, body: { confirmationCode: next } })).body.state).toBe(
    "confirmed",
  );
});

test("a new address has to be confirmed anew, other changes are not asked about", async () => {
  const recipientId = await confirmed();
  const quietHours = { from: "22:00", to: "07:00" };
  const night = await partner.api.putMailRecipient({ recipientId, body: { address, quietHours, timeZone: "Europe/Berlin" } });
  expect(night.body).toMatchObject({ state: "confirmed", quietHours, timeZone: "Europe/Berlin" });
  const moved = await partner.api.putMailRecipient({ recipientId, body: { address: "night@northwind.example" } });
  expect(moved.body).toMatchObject({ state: "unconfirmed", address: "night@northwind.example" });
});

test("a test waits to be mailed, as an event does; who is not confirmed gets none", async () => {
  const recipientId = await confirmed();
  expect((await partner.api.testMailRecipient({ recipientId })).body).toMatchObject({ mail: { waiting: 1 } });
  const unasked = unique("desk");
  await partner.api.putMailRecipient({ recipientId: unasked, body: { address } });
  await expect(partner.api.testMailRecipient({ recipientId: unasked })).rejects.toMatchObject({
    code: "MailRecipientUnconfirmed",
  });
});

test("the link in a mail only asks; its button ends the mails, and no other code does", async () => {
  const recipientId = await confirmed();
  await partner.api.testMailRecipient({ recipientId });
  const link = await unsubscribeLink(api.world, await kept(recipientId));
  const asked = await fetch(link);
  expect([asked.status, asked.headers.get("content-security-policy")]).toMatchObject([
    200,
    expect.stringContaining("form-action 'self'"),
  ]);
  expect(await asked.text()).toContain('<form method="post"><button>Unsubscribe</button></form>');
  expect((await kept(recipientId)).state).toBe("confirmed");
  for (const wrong of [link.replace(/code=.{4}/, "code=AAAA"), link.replace("partner=", "partner=x"), link.split("?")[0] ?? ""])
    expect((await fetch(wrong, { method: "POST" })).status).toBe(400);
  expect((await kept(recipientId)).state).toBe("confirmed");
  expect((await fetch(link, { method: "POST" })).status).toBe(200);
  expect((await partner.api.getMailRecipient({ recipientId })).body).toMatchObject({
    state: "unsubscribed",
    mail: { waiting: 0 },
  });
  await expect(partner.api.testMailRecipient({ recipientId })).rejects.toMatchObject({ status: 409 });
});

test.each([
  [{ address: "desk@northwind.example\r\nBcc: all@northwind.example" }, "address"],
  [{ address: "nobody" }, "address"],
  [{ address, timeZone: "Europe/Atlantis" }, "timeZone"],
  [{ address, quietHours: { from: "24:00", to: "07:00" } }, "quietHours.from"],
  [{ address, quietHours: { from: "07:00", to: "07:00" } }, "quietHours.to"],
  [{ address, digestInMinutes: 1 }, "digestInMinutes"],
  [{ address, types: ["*"] }, "types[0]"],
])("%j is refused, and the field is named", async (body, target) => {
  const { token } = partner;
  const answer = await api.request("PUT", "/api/mail-recipients/bad-one", { token, body });
  expect([answer.status, await answer.json()]).toMatchObject([400, { error: { details: [{ target }] } }]);
});

test("it is deleted with what waits for it, and a partner has twenty at the most", async () => {
  const another = await api.partner();
  for (let number = 0; number < 20; number += 1)
    await another.api.putMailRecipient({ recipientId: `desk-${number}`, body: { address } });
  await expect(another.api.putMailRecipient({ recipientId: "desk-20", body: { address } })).rejects.toMatchObject({
    code: "MailRecipientLimitReached",
  });
  expect((await another.api.deleteMailRecipient({ recipientId: "desk-0" })).status).toBe(204);
  await expect(another.api.getMailRecipient({ recipientId: "desk-0" })).rejects.toMatchObject({ code: "MailRecipientNotFound" });
});
