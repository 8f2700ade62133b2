/** `npm run audit -- --verify`: says that a chain is whole, or where it breaks. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { TableClient } from "@azure/data-tables";
import { expect, test } from "vitest";
import { chainKey } from "../../shared/stores/audit-chain.ts";
import { ownAccount } from "../support/own-account.ts";
import { testStores, unique } from "../support/stores.ts";

const command = join(import.meta.dirname, "../../infra/audit.ts");

const run = (...args: string[]): Promise<{ code: number | null; output: string }> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [command, ...args], (_error, output, errors) =>
      resolve({ code: child.exitCode, output: output + errors }),
    );
  });

test("a whole chain, a broken one, and a question that makes no sense", { timeout: 120_000 }, async () => {
  const now = Date.now();
  const { audit, auditAnchors } = testStores({ now: () => now });
  const at = new Date(now).toISOString();
  const owner = { partnerId: unique("partner"), tenantId: "contoso" };
  const actor = { kind: "orchestration" } as const;
  for (const key of ["one", "two"]) await audit.begin(owner, { key, actor, action: "create", target: { kind: key } });
  const [segment] = await audit.segments(owner);
  const asked = ["--verify", "--partner", owner.partnerId, "--tenant", "contoso", "--storage", ownAccount()];

  const whole = `${chainKey(owner)}: 2 entries, chain whole (1 to 2, the last one's hash is ${segment?.head?.hash})`;
  await auditAnchors.add([{ chain: chainKey(owner), sequence: 2, hash: segment?.head?.hash ?? "" }]);
  const anchored = `${whole}, anchored up to entry 2 at ${at}\n`;
  expect(await run(...asked)).toEqual({ code: 0, output: anchored });

  const table = TableClient.fromConnectionString(ownAccount(), `audit${segment?.month}`, { allowInsecureConnection: true });
  await table.updateEntity({ partitionKey: chainKey(owner), rowKey: "e_8639999999999999", text: '"{}"' }, "Merge");
  const broken = await run(...asked);
  expect(broken).toMatchObject({ code: 1, output: expect.stringContaining("2 entries, CHAIN BROKEN") as string });
  expect(broken.output).toContain("entry 1 was changed: its text is not what was hashed");

  expect(await run("--partner", "northwind")).toMatchObject({ code: 2, output: expect.stringContaining("--verify") as string });
});
