/** `npm start -- --once --story`: a tenant's whole life under mail, counted; and the safety invariants over all that was asked of the clouds. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { recordLeftIn, runCommand, withFolder } from "../support/command.ts";
import { violations, watchedOf } from "../support/invariants.ts";

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8")) as Record<string, unknown>;

/** What the last chapter says of messages, by its words. */
function countsIn(output: string): Record<string, number> {
  const lines = output.slice(output.lastIndexOf("\nMail\n")).matchAll(/^ +(\d+) ([a-z -]+?)(?: outside of these windows:)?$/gmu);
  return Object.fromEntries([...lines].map(([, count, what]) => [what, Number(count)]));
}

/** What a colleague of the customer did. */
const byHand = ({ requestBody }: Exchange): boolean => (requestBody as { byHand?: boolean } | undefined)?.byHand === true;

test("no message is lost, none comes twice, and none that has to go through the gateway passes by", { timeout: 1_800_000 }, () =>
  withFolder(async (data) => {
    const { code, output } = await runCommand("--once", "--story", "--port", "0", "--data", data);
    const { sent = 0, ...counts } = countsIn(output);
    expect(sent, output).toBeGreaterThan(60);
    expect(counts, output).toEqual({
      delivered: sent,
      lost: 0,
      "delivered twice": 0,
      "delivered unprocessed": 0,
      "non-delivery reports": 0,
    });
    expect(output).toContain("nothing of it is left in Azure, Exchange Online and Entra");
    expect(output).toMatch(/kept of it: \d\d objects as they stood, with \d+ entries of the audit log/u);
    const record = recordLeftIn(data);
    const theirs = new Set(record.filter(byHand).map(({ seq }) => seq));
    const ours = violations(record, watchedOf(tenantSpecSchema.parse(contoso))).filter(({ seq }) => !theirs.has(seq));
    expect(ours).toEqual([]);
    expect(code).toBe(0);
  }),
);
