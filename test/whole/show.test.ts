/** The stories of `npm run show`, each to its end on one platform, and what they say when there is nothing to show. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startCommand, withFolder } from "../support/command.ts";

const show = join(import.meta.dirname, "../../infra/local/show.ts");

/** A command that ends by itself; its error output comes last. */
const shown = (...args: string[]): Promise<{ code: number | null; output: string }> =>
  new Promise((resolve) => {
    const child = execFile(process.execPath, [show, ...args], (_error, output, errors) =>
      resolve({ code: child.exitCode, output: output + errors }),
    );
  });

/** Lines without what differs from run to run: seconds, times, ids, and how long steps took. */
const lasting = (text: string): string[] =>
  text.split("\n").map((line) =>
    line
      .replace(/^ *\d+\.\d s/u, "")
      .replace(/\d{4}-\d\d-\d\d[T ][\d:.]+Z|\d{8}t\d{6}z/gu, "TIME")
      .replace(/[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}/gu, "ID")
      .replace(/^( {2}✓ .*) \([^)]*\)$/u, "$1"),
  );

/** What README.md shows of a story and the command did not print; it may print more, such as a reminder on a slow machine. */
function missingOfReadme(story: string, output: string): string[] {
  const [, block = ""] =
    new RegExp(`<!-- ${story}: [^>]*-->\n([\\s\\S]*?)\n<!-- /${story} -->`, "u").exec(readFileSync("README.md", "utf8")) ?? [];
  const [, command, ...lines] = lasting(block).slice(0, -1);
  expect(command).toBe(`$ npm run --silent show -- ${story}`);
  const printed = new Set(lasting(output));
  return lines.filter((line) => !printed.has(line));
}

test("the flags are explained, and a story needs a name that is known and a platform", { timeout: 120_000 }, () =>
  withFolder(async (folder) => {
    const help = await shown("--help");
    expect(help).toEqual({ code: 0, output: expect.stringContaining("npm run --silent show -- listing") as string });
    const unknown = await shown("party", "--data", folder);
    expect(unknown).toEqual({ code: 1, output: expect.stringContaining("there is no story party") as string });
    const nothing = await shown("outage", "--data", folder);
    expect(nothing).toEqual({ code: 1, output: expect.stringContaining(`no platform is running on ${folder}`) as string });
  }),
);

test(
  "a listing becomes a case that closes, a near expiry a new secret, a stopped machine a condition and an event, a full queue too",
  { timeout: 1_500_000 },
  () =>
    withFolder(async (data) => {
      const platform = startCommand("--port", "0", "--data", data);
      try {
        const started = await platform.untilPrinted("Running until Ctrl+C");
        expect(started).toContain("npm run --silent show --");

        const stranger = await shown("outage", "--data", data, "--tenant", "adatum");
        expect(stranger).toEqual({ code: 1, output: expect.stringContaining("adatum is not registered here") as string });

        // Nothing that one does is in the other's way.
        const [listing, rotation] = await Promise.all([shown("listing", "--data", data), shown("rotation", "--data", data)]);
        expect(listing.output).toMatch(/address suspected: PSBL answers 127\.0\.0\.2/u);
        expect(listing.output).toMatch(/address listed/u);
        expect(listing.output).toMatch(/Link {7}https:\/\/psbl\.org\/remove\?ip=203\.0\.113\.\d+/u);
        for (const state of ["opened", "ready", "waiting", "verifying", "closed"])
          expect(listing.output).toContain(`case ${state}: `);
        expect(listing.output).toContain("condition Listed False");
        for (const type of ["address.listed", "delisting.opened", "delisting.closed", "address.cleared"])
          expect(listing.output.match(new RegExp(`Z {2}${type.replace(".", "\\.")} `, "gu"))).toHaveLength(1);
        expect(listing.code).toBe(0);

        expect(rotation.output).toContain("is of generation 2");
        expect(rotation.output).toContain("✓ Directory  The old secret is revoked, and dead");
        expect(rotation.output).toContain("generation 2 is now 3");
        expect(rotation.output).toContain("Entra about the old one: AADSTS7000215");
        expect(rotation.code).toBe(0);

        expect(missingOfReadme("listing", listing.output)).toEqual([]);
        expect(missingOfReadme("rotation", rotation.output)).toEqual([]);

        const outage = await shown("outage", "--data", data);
        expect(outage.output).toContain("condition GatewayHealthy False: Deallocated");
        expect(outage.output).toContain("event gateway.health.changed: from healthy (Running) to stopped (Deallocated)");
        expect(outage.output).toContain("condition GatewayHealthy True: Running");
        expect(outage.output).toMatch(/event gateway\.health\.changed: from stopped \(\w+\) to healthy \(Running\)/u);
        expect(outage.code).toBe(0);
        expect(missingOfReadme("outage", outage.output)).toEqual([]);

        const webhook = await shown("webhook", "--data", data);
        expect(webhook.output).toContain("verified with standardwebhooks");
        expect(webhook.output).toContain("No matching signature found");
        expect(webhook.output).toContain("delivered, answered 204");
        expect(webhook.code).toBe(0);
        expect(missingOfReadme("webhook", webhook.output)).toEqual([]);

        const queue = await shown("queue", "--data", data);
        expect(queue.output).toContain("heartbeat: 60 mails wait, level error");
        expect(queue.output).toContain("event gateway.health.changed: from healthy (Running) to failing (MailWaits)");
        expect(queue.output).toContain("RestartTooSoon, it may be restarted from ");
        expect(queue.output).toContain("event gateway.health.changed: from failing (MailWaits) to healthy (Running)");
        expect(queue.output.match(/gateway\.health\.changed of .*, signature verified/gu)).toHaveLength(2);
        expect(queue.output).toContain("has it: at most 60 mails in the queue, level error");
        expect(queue.code).toBe(0);
        expect(missingOfReadme("queue", queue.output)).toEqual([]);

        platform.signal("SIGINT");
        expect(await platform.ended).toBe(0);
        const gone = await shown("outage", "--data", data);
        expect(gone).toEqual({ code: 1, output: expect.stringContaining("no platform is running") as string });
      } finally {
        platform.signal("SIGKILL");
      }
    }),
);
