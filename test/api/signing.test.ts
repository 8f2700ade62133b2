/** Signed tokens are good for one purpose, for a time, as they were signed. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { createSigner } from "../../shared/api/signing.ts";

const clock = { time: Date.parse("2026-11-01T00:00:00Z"), now: () => clock.time };
const key = new Uint8Array(32).fill(7);
const signer = createSigner(() => Promise.resolve(key), clock);

test("what is signed is read again", async () => {
  const payload = { partnerId: "northwind", tenantId: "contoso", list: [1, { two: null }] };
  const token = await signer.sign(payload, "consent", 60);
  expect([await signer.verify(token, "consent"), /^[\w.-]+$/.test(token)]).toEqual([payload, true]);
});

test("another purpose, another key and another time are refused", async () => {
  const token = await signer.sign({ a: 1 }, "consent", 60);
  const other = createSigner(() => Promise.resolve(new Uint8Array(32).fill(8)), clock);
  expect([await signer.verify(token, "page"), await other.verify(token, "consent")]).toEqual([undefined, undefined]);
  clock.time += 61_000;
  expect(await signer.verify(token, "consent")).toBeUndefined();
});

test("a token of which anything was changed is refused", async () => {
  const token = await signer.sign({ tenantId: "contoso" }, "consent", 60);
  const places = fc.integer({ min: 0, max: token.length - 2 });
  await fc.assert(
    fc.asyncProperty(places, fc.constantFrom("A", "B", ".", "x"), async (place, character) => {
      const changed = token.slice(0, place) + character + token.slice(place + 1);
      if (changed !== token) expect(await signer.verify(changed, "consent")).toBeUndefined();
    }),
  );
});

test("a key that can't be had now may be had later", async () => {
  let asked = 0;
  const late = createSigner(() => {
    asked += 1;
    return asked === 1 ? Promise.reject(new Error("the vault is not there yet")) : Promise.resolve(key);
  }, clock);
  await expect(late.sign({}, "page", 60)).rejects.toThrow("the vault is not there yet");
  expect(await late.verify(await late.sign({ a: 1 }, "page", 60), "page")).toEqual({ a: 1 });
  expect(asked).toBe(2);
});
