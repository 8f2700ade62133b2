/** A domain's own name servers, asked one by one over UDP: what one of them has not got yet is not published. */
import { createSocket, type Socket } from "node:dgram";
import { decode, encode } from "dns-packet";
import { afterEach, expect, test } from "vitest";
import { createAuthorities } from "../../shared/dns/authorities.ts";
import { absent, type Observed, present, unknown } from "../../shared/resources/resource.ts";

const open: Socket[] = [];
afterEach(() => {
  for (const socket of open.splice(0)) socket.close();
});

/** A server that has these texts for every name; undefined says nothing at all. */
async function serving(texts: string[] | undefined, address: string, port: number): Promise<number> {
  const socket = createSocket("udp4");
  open.push(socket);
  socket.on("message", (query, from) => {
    if (texts === undefined) return;
    const { id = 0, questions = [] } = decode(query);
    const answers = texts.map((data) => ({ type: "TXT" as const, name: questions[0]?.name ?? "", ttl: 60, data }));
    socket.send(encode({ type: "response", id, flags: 0x8580, questions, answers }), from.port, from.address);
  });
  await new Promise<void>((resolve) => socket.bind(port, address, resolve));
  return socket.address().port;
}

/** Two servers of one domain on the loopback's addresses, at one port. */
async function authorities(one: string[] | undefined, other: string[] | undefined, delegated = "contoso.example") {
  const port = await serving(one, "127.0.0.1", 0);
  await serving(other, "127.0.0.2", port);
  const addresses: Record<string, string> = { "ns1.example": "127.0.0.1", "ns2.example": "127.0.0.2" };
  const named = (name: string): Observed<string[]> => (name === delegated ? present(["ns1.example", "ns2.example"]) : absent);
  return createAuthorities({
    resolver: {
      nameServers: async (name) => (name === "silent.example" ? unknown("DnsFailed", "no answer") : named(name)),
      addresses: async (name) => (addresses[name] === undefined ? absent : present([addresses[name]])),
    },
    port,
    timeoutInSeconds: 0.2,
  });
}

test("what all of them say is so, in whatever order they say it", async () => {
  const { texts } = await authorities(["v=spf1 -all", "MS=ms1"], ["MS=ms1", "v=spf1 -all"]);
  expect(await texts("contoso.example")).toEqual({ state: "present", actual: ["MS=ms1", "v=spf1 -all"] });
  expect(await texts("mail.contoso.example")).toMatchObject({ state: "present" });
});

test.each([
  ["one lags behind", ["v=spf1 ip4:203.0.113.7 -all"], ["v=spf1 -all"], "NameServersDiffer"],
  ["one is silent", ["v=spf1 -all"], undefined, "DnsFailed"],
])("%s: that is not known", async (_, one, other, code) => {
  const { texts } = await authorities(one, other);
  expect(await texts("contoso.example")).toMatchObject({ state: "unknown", reason: { code } });
});

test("a domain that nobody delegates isn't there; whether one is, can't always be told", async () => {
  const { texts } = await authorities([], []);
  expect(await texts("fabrikam.example")).toEqual({ state: "absent" });
  expect(await texts("silent.example")).toMatchObject({ state: "unknown" });
});
