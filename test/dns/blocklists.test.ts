/** Blocklists over real UDP: listings are told from errors, and a list that fails its own test is blind. */
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { spamhausZenCodes } from "../../shared/dns/blocklist-definitions.ts";
import { type BlocklistZone, parseBlocklistZones, removalOf } from "../../shared/dns/blocklist-zones.ts";
import { judge, queryName } from "../../shared/dns/blocklist-answers.ts";
import { createBlocklists } from "../../shared/dns/blocklists.ts";
import { startClouds, type TestClouds } from "../support/clouds.ts";

let clouds: TestClouds;
beforeAll(async () => {
  clouds = await startClouds();
});
afterAll(() => clouds.stop());

const removal = { kind: "form" as const, link: "https://lists.example/remove?ip={address}", note: "" };
const zoneNamed = (id: string, more: Partial<BlocklistZone> = {}): BlocklistZone => ({
  id,
  title: id,
  zone: `${id}.lists.example`,
  codes: { "127.0.0.2": { meaning: "listed" }, "127.0.0.10": { meaning: "policy" } },
  weight: "high",
  removal,
  ...more,
});
const change = (id: string, body: object) =>
  fetch(`${clouds.control}/blocklists`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ zone: `${id}.lists.example`, ...body }),
  }).then((response) => expect(response.status).toBe(200));
const asking = (...zones: BlocklistZone[]) =>
  createBlocklists({
    servers: clouds.environment.dnsServers,
    zones,
    readKey: () => Promise.resolve("secretkey"),
    timeoutInSeconds: 0.2,
    queriesPerSecond: 10_000,
  });

describe("an honest list", () => {
  beforeAll(() =>
    change("honest", {
      list: [
        { address: "203.0.113.7", codes: ["127.0.0.10", "127.0.0.2"], reason: "see https://lists.example/203.0.113.7" },
        { address: "203.0.113.9", codes: ["127.0.0.99"] },
      ],
    }),
  );

  test("says which addresses are listed with which codes; a code that nobody mapped is unknown", async () => {
    const addresses = ["203.0.113.7", "203.0.113.8", "203.0.113.9"];
    const [batch] = await asking(zoneNamed("honest")).check(() => addresses);
    expect(batch?.health).toBe("ok");
    expect(Object.fromEntries(batch?.verdicts ?? [])).toEqual({
      "203.0.113.7": { state: "listed", codes: ["127.0.0.10", "127.0.0.2"], ttlInSeconds: 0 },
      "203.0.113.8": { state: "clean" },
      "203.0.113.9": { state: "unknown", reason: "unknownCode", codes: ["127.0.0.99"] },
    });
  });

  test("gives its reasons", async () => {
    expect(await asking(zoneNamed("honest")).reasons("honest", "203.0.113.7")).toEqual(["see https://lists.example/203.0.113.7"]);
    expect(await asking(zoneNamed("honest")).reasons("honest", "203.0.113.8")).toEqual([]);
  });

  test("is tested before and after each batch", async () => {
    const before = (await clouds.requests("dns")).at(-1)?.seq ?? 0;
    await asking(zoneNamed("honest")).check(() => ["203.0.113.8"]);
    const asked = (await clouds.requests("dns", before)).map(({ url }) => url.replace(".honest.lists.example?type=A", ""));
    // Another address that is nobody's each time: a name server that asks for others would know the answer about the same one.
    const tests = (last: number) => ["dns:1.0.0.127", "dns:2.0.0.127", `dns:${last}.2.0.192`].toSorted();
    expect([asked.slice(0, 3).toSorted(), asked.slice(3, 4), asked.slice(4).toSorted()]).toEqual([
      tests(1),
      ["dns:8.113.0.203"],
      tests(2),
    ]);
  });
});

test.each([
  ["127.255.255.252", "refused"],
  ["127.255.255.254", "refused"],
  ["127.255.255.255", "refused"],
  ["everything", "listsEverything"],
  ["nothing", "listsNothing"],
  ["parked", "broken"],
  ["silent", "unreachable"],
  ["servfail", "unreachable"],
  ["refused", "refused"],
])("a list that answers %s is blind: %s", async (behaviour, health) => {
  const id = `blind-${behaviour.replaceAll(".", "-")}`;
  await change(id, { behaviour, list: ["203.0.113.7"] });
  const [batch] = await asking(zoneNamed(id)).check(() => ["203.0.113.7", "203.0.113.8"]);
  expect(batch?.health).toBe(health);
  expect([...(batch?.verdicts.values() ?? [])].map(({ state }) => state)).toEqual(["unknown", "unknown"]);
});

test("the built-in lists are all there, and can be believed", async () => {
  const batches = await asking(...parseBlocklistZones("default")).check(() => ["203.0.113.7"]);
  expect(new Set(batches.map(({ health }) => health))).toEqual(new Set(["ok"]));
});

test("a silent list does not keep another from answering", async () => {
  await change("quiet", { behaviour: "silent" });
  await change("talking", { list: ["203.0.113.7"] });
  const batches = await asking(zoneNamed("quiet"), zoneNamed("talking")).check(() => ["203.0.113.7"]);
  expect(batches.map(({ zoneId, health }) => [zoneId, health])).toEqual([
    ["quiet", "unreachable"],
    ["talking", "ok"],
  ]);
  expect(batches[1]?.verdicts.get("203.0.113.7")).toMatchObject({ state: "listed", codes: ["127.0.0.2"] });
});

test("a list that nobody knows answers nothing of use", async () => {
  expect(await asking().checkOne("nobody", "203.0.113.7")).toEqual({ state: "unknown", reason: "notConfigured" });
});

test("a keyed zone is asked with its key, and neither failure nor verdict has the key", async () => {
  const key = { vaultUrl: "https://gatehouse.vault.example", name: "blocklist-key", version: "1" };
  const keyed = zoneNamed("keyed", { zone: "{key}.keyed.lists.example", key });
  await change("keyed", { behaviour: "servfail" });
  const [batch] = await asking(keyed).check(() => ["203.0.113.7"]);
  expect(JSON.stringify([batch, ...(batch?.verdicts ?? [])])).not.toContain("secretkey");
  expect(batch?.health).toBe("unreachable");
  expect((await clouds.requests("dns")).some(({ url }) => url.includes("secretkey.keyed"))).toBe(true);
});

test("a keyed zone that quotes what it was asked, in whatever case, does not quote its key", async () => {
  const key = { vaultUrl: "https://gatehouse.vault.example", name: "blocklist-key", version: "1" };
  const keyed = zoneNamed("quoting", { zone: "{key}.quoting.lists.example", key });
  const reason = "7.113.0.203.secretkey.quoting.lists.example, or 7.113.0.203.SecretKEY.QUOTING";
  await change("secretkey.quoting", { list: [{ address: "203.0.113.7", reason }] });
  expect(await asking(keyed).reasons("quoting", "203.0.113.7")).toEqual([
    "7.113.0.203.[key].quoting.lists.example, or 7.113.0.203.[key].QUOTING",
  ]);
});

test("an address leaves the list after somebody filled the portal's form", async () => {
  await change("portal", { list: ["203.0.113.7"] });
  const portal = `${clouds.control}/portal/portal.lists.example`;
  const page = await (await fetch(`${portal}?address=203.0.113.7`)).text();
  expect(page).toContain('value="203.0.113.7"');
  const send = (form: Record<string, string>) => fetch(portal, { method: "POST", body: new URLSearchParams(form) });
  const filled = { address: "203.0.113.7", mailbox: "postmaster@contoso.example", reason: "A single static mail gateway." };
  expect((await send({ ...filled, reason: "" })).status).toBe(400);
  expect((await send({ ...filled, address: "203.0.113.8" })).status).toBe(404);
  const blocklists = asking(zoneNamed("portal"));
  expect(await blocklists.checkOne("portal", "203.0.113.7")).toMatchObject({ state: "listed" });
  expect((await send(filled)).status).toBe(202);
  // Modelled durations take no time in tests.
  expect(await blocklists.checkOne("portal", "203.0.113.7")).toEqual({ state: "clean" });
});

describe("names", () => {
  test("are those of RFC 5782", () => {
    expect(queryName("192.0.2.99", "bad.example.com")).toBe("99.2.0.192.bad.example.com");
    expect(queryName("2001:db8:1:2:3:4:567:89ab", "ugly.example.com")).toBe(
      "b.a.9.8.7.6.5.0.4.0.0.0.3.0.0.0.2.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ugly.example.com",
    );
    expect(queryName("::ffff:127.0.0.2", "z.example")).toBe(queryName("::FFFF:7F00:2", "z.example"));
    expect(() => queryName("203.0.113", "z.example")).toThrow(TypeError);
  });

  test("say their address backwards, whatever it is", () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const name = queryName(address, "z.example");
        expect(name.split(".").slice(0, 4).toReversed().join(".")).toBe(address);
      }),
    );
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const labels = queryName(address, "z.example").split(".").slice(0, -2);
        expect(labels).toHaveLength(32);
        const groups = labels.toReversed().join("").match(/.{4}/g) ?? [];
        expect(new URL(`http://[${groups.join(":")}]`).host).toBe(new URL(`http://[${address}]`).host);
      }),
    );
  });
});

describe("codes", () => {
  const octet = fc.integer({ min: 0, max: 255 });

  test("in 127.255.255.0/24 are errors for every list, whatever else is answered", () => {
    fc.assert(
      fc.property(octet, fc.array(fc.constantFrom("127.0.0.2", "127.0.0.10")), (last, others) => {
        const codes = { [`127.255.255.${last}`]: { meaning: "never" }, "127.0.0.2": { meaning: "listed" } };
        expect(judge({ codes }, [...others, `127.255.255.${last}`])).toEqual({ state: "unknown", reason: "refused" });
      }),
    );
  });

  test("are listings only if they are mapped, and only in 127.0.0.0/8", () => {
    const codes = { "127.0.0.2": { meaning: "listed" } };
    fc.assert(
      fc.property(fc.array(fc.ipV4(), { minLength: 1 }), (records) => {
        const verdict = judge({ codes }, records);
        expect(verdict.state === "listed").toBe(
          records.includes("127.0.0.2") && records.every((one) => one.startsWith("127.") && !one.startsWith("127.255.255.")),
        );
        expect(verdict.state).not.toBe("clean");
      }),
    );
    expect(judge({ codes }, ["127.0.0.2", "127.0.0.99"])).toEqual({ state: "listed", codes: ["127.0.0.2"] });
    expect(judge({ codes }, [])).toEqual({ state: "clean" });
  });
});

describe("zones as data", () => {
  test("the built-in ones are read; wrong ones are refused with the reason", () => {
    expect(parseBlocklistZones("default").map(({ id }) => id)).toContain("spamcop");
    expect(parseBlocklistZones([zoneNamed("mine")])).toEqual([zoneNamed("mine")]);
    const refused = (zones: unknown) => expect(() => parseBlocklistZones(zones));
    refused([zoneNamed("mine", { codes: { "127.255.255.254": { meaning: "no" } } })]).toThrow("holds errors");
    refused([zoneNamed("mine"), zoneNamed("mine")]).toThrow("same id");
    refused([zoneNamed("mine", { zone: "{key}.lists.example" })]).toThrow("names the vault");
    expect(() => parseBlocklistZones("none")).toThrow("DNS_BLOCKLISTS is wrong");
    expect(() => parseBlocklistZones(["none"])).toThrow("DNS_BLOCKLISTS is wrong");
  });

  test("a list that is known here is named by its id, and gets its key or something else from the setting", () => {
    const key = { vaultUrl: "https://gatehouse.vault.example", name: "spamhaus-key", version: "1" };
    const [zen, spamcop, mine] = parseBlocklistZones([
      { id: "spamhaus-zen", key, dailyQueries: 2_000_000 },
      "spamcop",
      zoneNamed("mine"),
    ]);
    expect(zen).toMatchObject({ zone: "{key}.zen.dq.spamhaus.net", weight: "critical", key, dailyQueries: 2_000_000 });
    expect(spamcop).toEqual(parseBlocklistZones("default").find(({ id }) => id === "spamcop"));
    expect(mine).toEqual(zoneNamed("mine"));
    expect(() => parseBlocklistZones(["spamhaus-zen"])).toThrow("names the vault");
  });

  test("what needs a key or a registration is off, and a list that has ended is refused", () => {
    const on = parseBlocklistZones("default");
    expect(on.filter(({ id, key }) => key !== undefined || id === "barracuda" || id === "senderscore")).toEqual([]);
    expect(() => parseBlocklistZones([zoneNamed("sorbs", { zone: "dnsbl.sorbs.net" })])).toThrow("shut down on 5 June 2024");
    expect(() => parseBlocklistZones([zoneNamed("ahbl", { zone: "ircbl.dnsbl.ahbl.org" })])).toThrow("no list any more");
  });

  test("what nobody can ask for outweighs a form, and a form outweighs waiting", () => {
    const zen = zoneNamed("zen", { codes: spamhausZenCodes as BlocklistZone["codes"] });
    expect(removalOf(zen, ["127.0.0.10"]).kind).toBe("form");
    expect(removalOf(zen, ["127.0.0.3", "127.0.0.2"])).toMatchObject({
      kind: "replace",
      note: expect.stringContaining("provider"),
    });
  });
});
