/** Mails of notifications through Graph: they arrive as they were written, and who asks for time is understood. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { createMailer, type Mailer } from "../../shared/graph/mailer.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const organization = "c0ffee00-0000-4000-8000-000000000002";
const mailbox = "post@contoso.example";
const desk = "desk@contoso.example";

let clouds: TestClouds;
let mailer: Mailer;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: [mailbox, desk] });
  await clouds.consent(organization);
  const credentials = createCredentials(clouds.environment, clouds.application);
  mailer = createMailer(createGraph({ environment: clouds.environment, credentials }));
});
afterAll(() => clouds.stop());

const mails = (address: string) => clouds.platform.peers.messagesIn?.(organization, address) ?? [];

test("a mail arrives as it was written, from our mailbox, and no copy stays there", async () => {
  await mailer.send(organization, mailbox, { to: desk, subject: "Gatehouse: 2 changes – é", text: "One.\nTwo <b>é</b>.\n" });
  await vi.waitUntil(() => mails(desk).length > 0, { timeout: 20_000, interval: 25 });
  const mime = mails(desk)[0]?.mime ?? "";
  expect(mime).toMatch(/^From: .*post@contoso\.example/m);
  expect(mime).not.toMatch(/text\/html/i);
  expect(mails(mailbox)).toEqual([]);
});

test("who asks for time is understood", async () => {
  await clouds.fault("graph", { kind: "throttle", retryAfterInSeconds: 90 }, { method: "POST", path: "/sendMail" });
  await expect(mailer.send(organization, mailbox, { to: desk, subject: "s", text: "t" })).rejects.toMatchObject({
    transient: true,
    retryAfterInSeconds: 90,
  });
});

test("a mailbox that isn't there is no matter of time", async () => {
  await expect(mailer.send(organization, "nobody@contoso.example", { to: desk, subject: "s", text: "t" })).rejects.toMatchObject({
    transient: false,
  });
});
