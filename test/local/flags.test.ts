/** The command line of `npm start`: what it takes, and what it says to what it doesn't. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseFlags } from "../../infra/local/flags.ts";
import { runCommand, withFolder } from "../support/command.ts";

const example = expect.stringMatching(/examples\/contoso\.json$/u) as string;

test("without flags the example tenant is onboarded and the platform stays", () => {
  const data = expect.stringMatching(/\.local$/u) as string;
  const flags = { once: false, idle: false, fresh: false, ask: false, story: false };
  const usual = { ...flags, port: 7071, data, settings: {}, tenants: [example] };
  expect(parseFlags([])).toEqual(usual);
});

test("each flag does one thing", () => {
  expect(parseFlags(["--once", "--fresh", "--ask", "--port", "0", "--data", "elsewhere"])).toEqual({
    once: true,
    idle: false,
    fresh: true,
    ask: true,
    story: false,
    port: 0,
    data: "elsewhere",
    settings: {},
    tenants: [example],
  });
  expect(parseFlags(["--tenant", "a.json", "--tenant", "b.json"])).toMatchObject({ tenants: ["a.json", "b.json"] });
  expect(parseFlags(["--idle"])).toMatchObject({ idle: true, tenants: [] });
  expect(parseFlags(["--story"])).toMatchObject({ story: true, tenants: [] });
  expect(parseFlags(["--tempo", "0.01", "--set", "PROBE_INTERVAL=PT1S", "--set", "CANARY_MAILBOX="])).toMatchObject({
    tempo: 0.01,
    settings: { PROBE_INTERVAL: "PT1S", CANARY_MAILBOX: "" },
  });
  expect(parseFlags(["--help"])).toBe("help");
});

test.each([
  { flags: ["--bogus"], says: "Unknown option '--bogus'\n" },
  { flags: ["contoso"], says: "Unexpected argument 'contoso'" },
  { flags: ["--port", "http"], says: "--port http: must be a number from 0 to 65535" },
  { flags: ["--tempo", "fast"], says: "--tempo fast: must be a number such as 0.01" },
  { flags: ["--set", "probe-interval"], says: "--set probe-interval: must be such as PROBE_INTERVAL=PT1S" },
  { flags: ["--idle", "--tenant", "a.json"], says: "give only one of them" },
  { flags: ["--story", "--idle"], says: "--story plays the example tenant" },
])("$flags is refused with the usage", { timeout: 120_000 }, async ({ flags, says }) => {
  const { code, output } = await runCommand(...flags);
  expect(code).toBe(1);
  expect(output).toContain(says);
  expect(output).toContain("--tenant FILE");
});

test("a tenant file that can't be read is named before anything starts, with what to do", { timeout: 120_000 }, () =>
  withFolder(async (folder) => {
    const refused = async (name: string, text?: string): Promise<string> => {
      const file = join(folder, name);
      if (text !== undefined) writeFileSync(file, text);
      const { code, output } = await runCommand("--once", "--data", join(folder, "state"), "--tenant", file);
      expect(code).toBe(1);
      expect(output).toContain(`reading tenant file ${file}: `);
      expect(output).not.toContain("Starting");
      return output;
    };
    expect(await refused("missing.json")).toContain("there is no such file");
    expect(await refused("broken.json", '{ "tenantId": "contoso", }')).toContain("it is not JSON");
    expect(await refused("list.json", "[]")).toContain("it must be a JSON object");
    expect(await refused("nameless.json", "{}")).toContain("`tenantId` must be a string");
  }),
);

test.each([
  "infra/local/start.ts",
  "infra/local/show.ts",
  "infra/local/token.ts",
  "infra/audit.ts",
  "infra/build.ts",
  "infra/readme.ts",
])("%s explains itself with --help, and does nothing else", async (script) => {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, "--help"], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toContain("npm ");
});
