/** A probe mail goes out of a mailbox and is found in it, with the headers of its way. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createGraph } from "../../shared/graph/client.ts";
import { createProbeMails, type ProbeMails } from "../../shared/graph/mail.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

const organization = "c0ffee00-0000-4000-8000-000000000001";
const mailbox = "gatehouse-probe@contoso.example";

let clouds: TestClouds;
let probes: ProbeMails;
beforeAll(async () => {
  clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: [mailbox] });
  await clouds.consent(organization);
  const credentials = createCredentials(clouds.environment, clouds.application);
  probes = createProbeMails(createGraph({ environment: clouds.environment, credentials }));
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
