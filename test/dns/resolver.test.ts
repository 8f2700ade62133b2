/** Name servers that answer, deny, fail and say nothing: only a denial is absence. */
import { createSocket } from "node:dgram";
import { decode, encode, type Packet, type RecordType } from "dns-packet";
import { afterEach, expect, test } from "vitest";
import { createResolver, type DnsResolver } from "../../shared/dns/resolver.ts";
import { startClouds } from "../support/clouds.ts";

const open: (() => void)[] = [];
afterEach(() => {
  for (const close of open.splice(0)) close();
});

/** A server on loopback that answers every question by `rcode` (RFC 1035, 4.1.1) and records. */
async function serving(answers: Partial<Packet>, rcode = 0): Promise<DnsResolver> {
  const socket = createSocket("udp4");
  open.push(() => socket.close());
  socket.on("message", (query, { port, address }) => {
    const { id, questions } = decode(query);
    socket.send(
      encode({ type: "response", id: id ?? 0, flags: 0x8180 | rcode, questions: questions ?? [], ...answers }),
      port,
      address,
    );
  });
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  return createResolver({ servers: [`127.0.0.1:${socket.address().port}`], timeoutInSeconds: 0.2 });
}
const record = (type: RecordType, data: unknown, name = "contoso.example") => ({ type, name, ttl: 60, data }) as never;

test("addresses, mail exchangers by preference, texts joined, names of an address", async () => {
  const addresses = await serving({ answers: [record("A", "203.0.113.7")] });
  expect(await addresses.addresses("contoso.example")).toEqual({ state: "present", actual: ["203.0.113.7"] });
  const exchangers = await serving({
    answers: [
      record("MX", { preference: 20, exchange: "second.example" }),
      record("MX", { preference: 10, exchange: "First.example" }),
    ],
  });
  expect(await exchangers.mailExchangers("contoso.example")).toEqual({
    state: "present",
    actual: [
      { host: "first.example", preference: 10 },
      { host: "second.example", preference: 20 },
    ],
  });
  const texts = await serving({ answers: [record("TXT", ["v=spf1 ip4:203.0.113.7 ", "-all"])] });
  expect(await texts.texts("contoso.example")).toEqual({ state: "present", actual: ["v=spf1 ip4:203.0.113.7 -all"] });
  const names = await serving({ answers: [record("PTR", "gw.contoso.example", "7.113.0.203.in-addr.arpa")] });
  expect(await names.reverse("203.0.113.7")).toEqual({ state: "present", actual: ["gw.contoso.example"] });
});

test("a domain that says it takes no mail has no exchangers, which is an answer", async () => {
  const resolver = await serving({ answers: [record("MX", { preference: 0, exchange: "." })] });
  expect(await resolver.mailExchangers("contoso.example")).toEqual({ state: "present", actual: [] });
});

test.each([
  [3, "no such name", { state: "absent" }],
  [0, "no such record", { state: "absent" }],
  [2, "server failure", { state: "unknown", reason: { code: "DnsFailed" } }],
  [5, "refused", { state: "unknown", reason: { code: "DnsFailed" } }],
])("result code %i, %s", async (rcode, _meaning, expected) => {
  const resolver = await serving({}, rcode);
  expect(await resolver.addresses("contoso.example")).toMatchObject(expected);
  expect(await resolver.mailExchangers("contoso.example")).toMatchObject(expected);
  expect(await resolver.texts("contoso.example")).toMatchObject(expected);
  expect(await resolver.reverse("203.0.113.7")).toMatchObject(expected);
});

test("silence is unknown", async () => {
  const socket = createSocket("udp4");
  open.push(() => socket.close());
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const resolver = createResolver({ servers: [`127.0.0.1:${socket.address().port}`], timeoutInSeconds: 0.2 });
  expect(await resolver.addresses("contoso.example")).toMatchObject({ state: "unknown", reason: { code: "DnsFailed" } });
});

test("the simulated world is asked in the same way", async () => {
  const clouds = await startClouds();
  try {
    await clouds.organize({ tenantId: "c0ffee00-0000-4000-8000-000000000001", domains: ["contoso.example"], mailboxes: [] });
    const resolver = createResolver({ servers: clouds.environment.dnsServers });
    expect(await resolver.mailExchangers("contoso.example")).toMatchObject({
      state: "present",
      actual: [{ host: "contoso-example.mail.protection.outlook.com" }],
    });
    expect(await resolver.texts("contoso.example")).toMatchObject({
      state: "present",
      actual: [expect.stringMatching(/^v=spf1 /)],
    });
    expect(await resolver.addresses("nobody.invalid")).toEqual({ state: "absent" });
  } finally {
    await clouds.stop();
  }
});
