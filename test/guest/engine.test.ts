/** The engine's manners: the fence of generations, documents in parts, pages of results, exit codes; played by the simulated Windows. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { GuestDocument } from "../../shared/guest/document.ts";
import { decodeDocument, encodeDocument, MOST_CHARACTERS, partsOf } from "../../shared/guest/encoding.ts";
import { fingerprint } from "../../shared/vault/client.ts";
import { createMachine, document } from "./machine.ts";

const value = (name: string, data: string) => ({ path: "HKLM\\SOFTWARE\\A", name, type: "String" as const, value: data });

/** Text that gzip can't make smaller. */
const noise = (seed: number, length: number): string => {
  let state = seed + 1;
  return Array.from({ length }, () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return String.fromCodePoint(33 + ((state >>> 8) % 90));
  }).join("");
};

const large = (services: GuestDocument["services"] = []): GuestDocument =>
  document({
    registry: Array.from({ length: 12 }, (_, index) => value(`Value${index}`, noise(index, 1200))),
    firewall: [
      { name: "Gatehouse SMTP", port: 25, protocol: "TCP" },
      { name: "Gatehouse HTTP", port: 80, protocol: "TCP" },
    ],
    services,
  });

describe("the fence", () => {
  test("a document older than one that was set is refused, in both modes", async () => {
    const machine = createMachine();
    await machine.run("set", document({ generation: 7 }));
    for (const mode of ["test", "set"] as const)
      expect(await machine.run(mode, document({ generation: 6 }))).toMatchObject({
        exitCode: 2,
        error: { code: "GenerationOutdated" },
      });
    expect(await machine.run("set", document({ generation: 7 }))).toMatchObject({ exitCode: 0, inDesiredState: true });
  });

  test("a document of another schema, or none at all, is refused before anything is looked at", async () => {
    const machine = createMachine();
    const other = Buffer.from("AAAA").toString("base64url");
    expect(await machine.run("set", other)).toMatchObject({ exitCode: 2, error: { code: "DocumentMalformed" } });
  });

  test("a secret that can't be read may be there later", async () => {
    const secret = { vaultUrl: "https://contoso-abc123.vault.azure.net", name: "gone", version: "1" };
    const files = [{ path: "C:\\x.txt", secret }];
    expect(await createMachine().run("set", document({ files }))).toMatchObject({
      exitCode: 3,
      error: { code: "SecretUnreadable", message: "reading the secret gone: the answer was 404" },
    });
  });
});

describe("a document in parts", () => {
  test("each part fits, has its number, and together they say what the whole said", () => {
    const whole = large([{ name: "W32Time", startType: "Manual", state: "Running" }]);
    const parts = partsOf(whole);
    expect(parts.length).toBeGreaterThan(1);
    for (const part of parts) expect(encodeDocument(part).length).toBeLessThanOrEqual(MOST_CHARACTERS);
    expect(parts.map(({ part }) => part)).toEqual(parts.map((_, index) => ({ number: index + 1, of: parts.length })));
    expect(parts.flatMap(({ registry = [] }) => registry)).toEqual(whole.registry);
    expect(parts.flatMap(({ firewall = [] }) => firewall)).toEqual(whole.firewall);
    expect(parts.map(({ services }) => services !== undefined)).toEqual(parts.map((_, index) => index === parts.length - 1));
  });

  test("the machine takes them in order and no other, and restarts what reads them once, at the end", async () => {
    const parts = partsOf(large([{ name: "W32Time", startType: "Manual", state: "Running", restartAfter: ["registry"] }]));
    const machine = createMachine();
    const [first, second] = parts;
    if (first === undefined || second === undefined) throw new Error("too few parts");
    expect(await machine.run("set", second)).toMatchObject({ exitCode: 2, error: { code: "PartMissing" } });
    for (const part of parts) expect(await machine.run("set", part)).toMatchObject({ inDesiredState: true });
    expect(machine.state().restarts).toEqual({ W32Time: 1 });
    expect(machine.state().firewall.filter(({ group }) => group === "Gatehouse")).toHaveLength(2);
    for (const part of parts) expect(await machine.run("test", part)).toMatchObject({ inDesiredState: true });
    // The first part again, after a drift: the later ones stay applied.
    expect(await machine.run("set", first)).toMatchObject({ inDesiredState: true, changed: [] });
    expect(machine.state().restarts).toEqual({ W32Time: 1 });
  });

  test("what changes in an early part without a new generation is read too: the last part restarts", async () => {
    const services: GuestDocument["services"] = [
      { name: "W32Time", startType: "Manual", state: "Running", restartAfter: ["registry"] },
    ];
    const machine = createMachine();
    const whole = large(services);
    for (const part of partsOf(whole)) await machine.run("set", part);
    const [changed, ...rest] = whole.registry ?? [];
    if (changed === undefined) throw new Error("nothing to change");
    for (const part of partsOf({ ...whole, registry: [{ ...changed, value: noise(99, 1200) }, ...rest] }))
      expect(await machine.run("set", part)).toMatchObject({ inDesiredState: true });
    expect(machine.state().restarts).toEqual({ W32Time: 2 });
  });

  test("whatever fits into one run stays whole", () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.string({ maxLength: 20 }).filter((text) => /^[ -~]*$/.test(text)),
          { maxLength: 8 },
        ),
        (all) => {
          const whole = document({ registry: all.map((text, index) => value(`V${index}`, text)) });
          expect(partsOf(whole)).toEqual([whole]);
          expect(decodeDocument(encodeDocument(whole))).toEqual(whole);
        },
      ),
    );
  });

  test("an entry that fits into no run at all is refused by its size", () => {
    const files = [{ path: "C:\\x.txt", content: noise(1, 20_000) }];
    expect(() => partsOf(document({ files })).map(encodeDocument)).toThrow(
      expect.objectContaining({ code: "GuestDocumentTooLarge" }),
    );
  });
});

describe("the result", () => {
  test("is dealt out on pages that Run Command keeps whole", async () => {
    const registry = Array.from({ length: 60 }, (_, index) => value(`A value with a rather long name, number ${index}`, "x"));
    const desired = document({ registry: registry.map((entry) => ({ ...entry, path: `HKLM\\SOFTWARE\\${"A".repeat(60)}` })) });
    const machine = createMachine();
    const first = await machine.run("test", desired);
    expect(first.pages).toBeGreaterThan(1);
    const all = [...first.differences];
    for (let page = 2; page <= first.pages; page += 1) all.push(...(await machine.run("test", desired, page)).differences);
    expect(all).toEqual((desired.registry ?? []).map(({ path, name }) => `registry/${path}\\${name}`));
    expect(await machine.run("test", desired, 99)).toMatchObject({ differences: [], inDesiredState: false });
  });

  test("tells secrets by the control plane's own fingerprint, never by their values", async () => {
    const secret = { vaultUrl: "https://contoso-abc123.vault.azure.net", name: "loop-guid", version: "1" };
    const machine = createMachine({}, { "loop-guid": "the-guid" });
    const registry = [{ path: "HKLM\\SOFTWARE\\A", name: "B", type: "String" as const, secret, prefix: "X:" }];
    const result = await machine.run("set", document({ registry }));
    expect(result.secrets).toEqual([`registry/HKLM\\SOFTWARE\\A\\B=${fingerprint("the-guid", "loop-guid").fingerprint}`]);
    expect(JSON.stringify(result)).not.toContain("the-guid");
  });
});
