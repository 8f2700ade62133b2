/** Client secrets whose text nobody has are swept by age: never a young one, never one that the vault or the gateway may know, never somebody else's. */
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { removeOrphans } from "../../functions/rotation/orphans.ts";
import type { RotationWorld } from "../../functions/rotation/world.ts";
import { createAuditStore } from "../../shared/stores/audit.ts";
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import { memoryStorage } from "../support/memory-storage.ts";

const NOW = Date.parse("2026-11-23T00:00:00Z");
const HOUR = 3_600_000;
const vaultUrl = "https://contoso-kv.vault.azure.net";

interface Secret {
  ours: boolean;
  ageInHours: number;
  /** Stored for the generation that is to come, or for one that has come and uses another. */
  known: "current" | "previous" | "to come" | "over" | "nobody";
}

const owner = { partnerId: "northwind", tenantId: "contoso" };

async function swept(secrets: Secret[]): Promise<{ gone: Secret[]; told: number; logged: string[] }> {
  const clock = { now: () => NOW };
  const audit = createAuditStore(memoryStorage(), clock);
  const listed = secrets.map(({ ours, ageInHours }, index) => ({
    keyId: String(index),
    displayName: ours ? `gatehouse-rotation-${index}` : "made by hand",
    startDateTime: new Date(NOW - ageInHours * HOUR).toISOString(),
    endDateTime: null,
  }));
  const gone: Secret[] = [];
  const idOf = (known: Secret["known"]): string => String(secrets.findIndex((secret) => secret.known === known));
  const version = (keyId: string) => ({ reference: { vaultUrl, name: "n", version: keyId }, keyId, expiresAt: "2027-01-01" });
  const world = {
    clock,
    stores: { audit, tenants: { get: async () => ({ spec: { microsoft365: { tenantId: "m" }, azure: { tenantId: "a" } } }) } },
    passwords: {
      list: async () => listed,
      remove: async (_organization: string, _application: string, keyId: string) =>
        void gone.push(...secrets.slice(+keyId, +keyId + 1)),
    },
    vaults: {
      versions: async () =>
        secrets.flatMap(({ known }, index) =>
          known === "to come" || known === "over"
            ? [{ tags: { "gatehouse-key": String(index), "gatehouse-generation": known === "over" ? "2" : "3" } }]
            : [],
        ),
    },
  } as unknown as RotationWorld;
  const credential = { current: version(idOf("current")), previous: version(idOf("previous")) } as unknown as CredentialRecord;
  const told = await removeOrphans(world, { ...credential, ...owner, name: "clientSecret", generation: 2, vaultUrl });
  const logged = (await audit.list(owner, {}, 100)).items
    .toReversed()
    .map(({ actor, action, outcome, target }) => [actor.kind, action, target.kind, target.name, outcome].join(" "));
  return { told, gone, logged };
}

test("exactly ours that are older than a day and of no use to anybody go", async () => {
  const secret = fc.record({
    ours: fc.boolean(),
    ageInHours: fc.integer({ min: 0, max: 72 }),
    known: fc.constantFrom("to come" as const, "over" as const, "nobody" as const),
  });
  const inUse = fc.record({ ours: fc.constant(true), ageInHours: fc.integer({ min: 0, max: 72 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(secret, { maxLength: 6 }), inUse, inUse, async (others, current, previous) => {
      const secrets: Secret[] = [...others, { ...current, known: "current" }, { ...previous, known: "previous" }];
      const { gone, told, logged } = await swept(secrets);
      expect(gone).toEqual(
        secrets.filter(({ ours, ageInHours, known }) => ours && ageInHours > 24 && (known === "nobody" || known === "over")),
      );
      expect(told).toBe(gone.length);
      const line = (secret: Secret, outcome: string) => `timer remove clientSecret ${secrets.indexOf(secret)} ${outcome}`;
      expect(logged).toEqual(gone.flatMap((secret) => [line(secret, "Started"), line(secret, "Succeeded")]));
    }),
  );
});
