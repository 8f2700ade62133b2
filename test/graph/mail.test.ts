/** A probe mail goes out of a mailbox and is found in it, with the headers of its way. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { createProbeMails, type ProbeMails } from "../../shared/graph/mail.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";
import { testStores } from "../support/stores.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
const mailbox = "gatehouse-probe@contoso.example";

let clouds: TestClouds;
let probes: ProbeMails;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: [mailbox] });
  await clouds.consent(organization);
  const credentials = createCredentials(clouds.environment, clouds.application);
  probes = createProbeMails(createGraph({ environment: clouds.environment, credentials }), testStores().sentMails);
});
afterAll(() => clouds.stop());

test("what was sent is absent until it arrives, and then shows its headers", async () => {
  const subject = "Gatehouse probe 'one' & only #1 + 100%";
  expect(await probes.findProbe(organization, mailbox, subject)).toEqual({ state: "absent" });
  await probes.sendProbe(organization, mailbox, { subject, to: mailbox, nonce: "nonce-1" });
  const found = await vi.waitFor(async () => {
    const probe = await probes.findProbe(organization, mailbox, subject);
    if (probe.state !== "arrived") throw new Error(probe.state);
    return probe;
  });
  expect(found.headers).toContainEqual({ name: "X-Gatehouse-Probe", value: "nonce-1" });
  expect(found.receivedHops).toEqual(found.headers.filter(({ name }) => name === "Received").map(({ value }) => value));
  expect(await probes.findProbe(organization, mailbox, "Another subject")).toEqual({ state: "absent" });
});

test("a mailbox that can't be read is unknown", async () => {
  await clouds.fault("graph", { kind: "throttle", retryAfterInSeconds: 30 });
  expect(await probes.findProbe(organization, mailbox, "x")).toMatchObject({ state: "unknown", reason: { code: "GraphBusy" } });
});

const sent = async (): Promise<number> => {
  const { value } = (await (await fetch(`${clouds.control}/requests?cloud=graph`)).json()) as { value: Exchange[] };
  return value.filter(({ url, effect }) => url.endsWith("/sendMail") && effect === "write").length;
};
const send = (subject: string): Promise<void> =>
  probes.sendProbe(organization, mailbox, { subject, to: mailbox, nonce: "nonce" });

test("of many who send the same mail, one does", async () => {
  const before = await sent();
  await Promise.all(Array.from({ length: 4 }, () => send("once")));
  expect((await sent()) - before).toBe(1);
});

test.each([
  ["is sent by the next try when Graph asked to wait", { kind: "throttle", retryAfterInSeconds: 30 }, 1],
  ["is sent by the next try when Graph was busy", "503", 1],
  ["is not sent again when its answer was lost", "cut-after-effect", 1],
  ["counts as sent when nobody knows whether it was", "cut-before-effect", 0],
])("a mail %s", async (subject, fault, mails) => {
  const before = await sent();
  await clouds.fault("graph", fault, { method: "POST", path: "/sendMail" });
  await expect(send(subject)).rejects.toMatchObject({ transient: true });
  await send(subject);
  await send(subject);
  expect((await sent()) - before).toBe(mails);
});
