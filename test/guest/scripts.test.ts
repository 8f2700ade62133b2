/** The scripts that run as SYSTEM on customers' machines are PowerShell that can be read, and call only what is listed here, so. */
import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, test } from "vitest";
import type { Node, Tree } from "web-tree-sitter";
import { guestKinds } from "../../shared/guest/document.ts";
import { withoutComments } from "../../shared/guest/encoding.ts";
import { engineCodes } from "../../shared/guest/engine.ts";
import { everyNode, grammar, syntaxErrors } from "../support/syntax-trees.ts";

/** Cmdlets of Windows PowerShell 5.1 on Windows Server with the parameters that their reference has and that are used here. */
const COMMANDS: Record<string, string[]> = {
  "Add-LocalGroupMember": ["-Member", "-SID"],
  "Add-MpPreference": ["-ExclusionPath"],
  "ConvertFrom-Json": ["-InputObject"],
  "ConvertTo-Json": ["-Compress", "-Depth", "-InputObject"],
  "ForEach-Object": [],
  "Get-ChildItem": ["-Path"],
  "Get-Date": [],
  "Get-DscLocalConfigurationManager": [],
  "Get-MpPreference": [],
  "Get-NetFirewallAddressFilter": [],
  "Get-NetFirewallPortFilter": [],
  "Get-NetFirewallRule": ["-ErrorAction", "-Group", "-Name"],
  "Get-ScheduledTask": ["-ErrorAction", "-TaskName", "-TaskPath"],
  "Get-Service": ["-ErrorAction", "-Name"],
  "Get-WindowsFeature": ["-Name"],
  "Invoke-DscResource": ["-Method", "-ModuleName", "-Name", "-Property"],
  "Invoke-RestMethod": ["-Body", "-ContentType", "-Headers", "-Method", "-TimeoutSec", "-Uri"],
  "New-NetFirewallRule": [
    "-Action",
    "-Direction",
    "-DisplayName",
    "-Enabled",
    "-Group",
    "-LocalPort",
    "-Name",
    "-Profile",
    "-Protocol",
    "-RemoteAddress",
    "-RemotePort",
  ],
  "New-Object": [],
  "New-ScheduledTaskAction": ["-Argument", "-Execute"],
  "New-ScheduledTaskPrincipal": ["-LogonType", "-RunLevel", "-UserId"],
  "New-ScheduledTaskSettingsSet": ["-ExecutionTimeLimit", "-MultipleInstances", "-StartWhenAvailable"],
  "New-ScheduledTaskTrigger": ["-At", "-Once", "-RepetitionInterval"],
  "New-SelfSignedCertificate": ["-CertStoreLocation", "-DnsName", "-FriendlyName", "-KeyAlgorithm", "-KeyLength", "-NotAfter"],
  "New-TimeSpan": ["-Minutes"],
  "Register-ScheduledTask": ["-Action", "-Force", "-Principal", "-Settings", "-TaskName", "-TaskPath", "-Trigger"],
  "Remove-NetFirewallRule": ["-ErrorAction", "-Name"],
  "Restart-Service": ["-Force", "-Name"],
  "Select-Object": ["-First", "-Unique"],
  "Set-Service": ["-Name", "-StartupType"],
  "Set-StrictMode": ["-Version"],
  "Sort-Object": ["-Descending", "-Property"],
  "Start-Service": ["-Name"],
  "Start-Sleep": ["-Seconds"],
  "Stop-Service": ["-Force", "-Name"],
  "Test-Path": ["-Path"],
  "Where-Object": [],
  // Windows' own program for user rights; there is no cmdlet.
  "secedit.exe": [],
};

const trees: Record<string, Tree> = {};
const scripts = ["engine", "heartbeat", "directory"];
let parse: Awaited<ReturnType<typeof grammar>>;
beforeAll(async () => {
  parse = await grammar("powershell");
  for (const name of scripts)
    trees[name] = parse(await readFile(new URL(`../../shared/guest/${name}.ps1`, import.meta.url), "utf8"));
});

const nodes = (script: string, type: string): Node[] => {
  const root = trees[script]?.rootNode;
  return root === undefined ? [] : [...everyNode(root)].filter((node) => node.type === type);
};
const texts = (script: string, type: string): string[] => nodes(script, type).map(({ text }) => text);
const commandAround = (node: Node): Node | null => {
  for (let at: Node | null = node; at !== null; at = at.parent) if (at.type === "command") return at;
  return null;
};
const called = (script: string): string[] => [...new Set(texts(script, "command_name"))];

describe.each(scripts)("%s.ps1", (script) => {
  test("is PowerShell that can be read", () => {
    expect(trees[script] === undefined ? ["missing"] : syntaxErrors(trees[script])).toEqual([]);
  });

  test("says in its first line what it is, and in its help what it does", () => {
    const text = trees[script]?.rootNode.text ?? "";
    expect(text.split("\n")[0]).toMatch(new RegExp(`^# gatehouse-guest-${script} \\d+$`));
    for (const section of [".SYNOPSIS", ".DESCRIPTION", ".NOTES"]) expect(text).toContain(`\n${section}\n`);
    expect(text).toContain("Set-StrictMode -Version 2.0");
  });

  test("is plain ASCII, as Windows PowerShell 5.1 reads a script without a byte order mark", () => {
    expect(trees[script]?.rootNode.text.replaceAll("\n", "")).toMatch(/^[ -~]*$/);
  });

  test("calls its own functions and listed commands only, with parameters that they have", () => {
    const own = new Set(texts(script, "function_name"));
    const all = called(script);
    expect(all.filter((name) => !own.has(name) && COMMANDS[name] === undefined)).toEqual([]);
    expect([...own].filter((name) => !all.includes(name))).toEqual([]);
    const unknown = nodes(script, "command_parameter").filter((parameter) => {
      const command = commandAround(parameter)?.childForFieldName("command_name")?.text ?? "";
      return !own.has(command) && !(COMMANDS[command] ?? []).includes(parameter.text);
    });
    // secedit takes switches that begin with a slash, so a dash would be a mistake there too.
    expect(unknown.map(({ text }) => text)).toEqual([]);
  });

  test("is the same script without its comments", () => {
    const sent = withoutComments(trees[script]?.rootNode.text ?? "");
    expect(sent.split("\n")[0]).toBe(trees[script]?.rootNode.text.split("\n")[0]);
    const tokens = (of: Node): string[] =>
      [...everyNode(of)].filter(({ type, childCount }) => childCount === 0 && type !== "comment").map(({ text }) => text.trim());
    const shorter = parse(sent).rootNode;
    expect(tokens(shorter).filter(Boolean)).toEqual(tokens(trees[script]?.rootNode as Node).filter(Boolean));
  });

  test("nothing that is data is ever run", () => {
    expect(texts(script, "command_invokation_operator")).toEqual([]);
    const running =
      /\b(Invoke-Expression|iex|Invoke-Command|Start-Process|Add-Type)\b|\[scriptblock\]|\.InvokeScript\(|ExpandString|NewScriptBlock/i;
    const code = [...everyNode(trees[script]?.rootNode as Node)].filter(
      ({ type, childCount }) => type !== "comment" && (childCount === 0 || type === "type_literal"),
    );
    expect(code.map(({ text }) => text).filter((text) => running.test(text))).toEqual([]);
  });

  test("prints nothing but the engine's one line", () => {
    const text = trees[script]?.rootNode.text ?? "";
    expect(text.match(/Out\.WriteLine/g) ?? []).toHaveLength(script === "engine" ? 1 : 0);
    expect(
      called(script).filter((name) => /^(Write-(Host|Output|Verbose|Debug|Warning|Error|Information)|Out-)/i.test(name)),
    ).toEqual([]);
  });
});

test("every listed command is used", () => {
  const used = new Set(scripts.flatMap(called));
  expect(Object.keys(COMMANDS).filter((name) => !used.has(name))).toEqual([]);
});

describe("the engine's contract", () => {
  const text = (): string => trees["engine"]?.rootNode.text ?? "";

  test("takes nothing but these parameters, each checked", () => {
    const parameters = /\nparam\(\n([\s\S]*?)\n\)\n/.exec(text())?.[1] ?? "";
    expect([...parameters.matchAll(/\[(?:string|int)\] \$(\w+)/g)].map(([, name]) => name)).toEqual([
      "Document",
      "Mode",
      "IdentityClientId",
      "Page",
    ]);
    expect(parameters.match(/Validate(Pattern|Set|Range)/g)).toHaveLength(4);
  });

  test("sets the kinds in the schema's order", () => {
    const body = /function Set-Differences[\s\S]*?\n}\n/.exec(text())?.[0] ?? "";
    const order = [...body.matchAll(/Get-Section \$Desired '(\w+)'/g)].map(([, kind]) => kind);
    expect(order).toEqual(guestKinds.filter((kind) => kind !== "evidence"));
  });

  test("waits for an image's own set-up before it compares anything", () => {
    const main = text().slice(text().indexOf("$desired = Read-Document"));
    const [fence, wait, compare] = ["Confirm-Generation", "Wait-SetUp $desired", "Get-Differences $desired"].map((call) =>
      main.indexOf(call),
    );
    expect([fence, wait, compare].every((place) => place !== -1)).toBe(true);
    expect([fence, wait, compare]).toEqual([fence, wait, compare].toSorted((one = 0, other = 0) => one - other));
  });

  test("has every code with its exit code, and every one can happen", () => {
    const table = /\$ExitCodes = @\{\n([\s\S]*?)\n\}/.exec(text())?.[1] ?? "";
    expect(Object.fromEntries([...table.matchAll(/(\w+)\s+= (\d)/g)].map(([, code, exit]) => [code, Number(exit)]))).toEqual(
      engineCodes,
    );
    const thrown = new Set([...text().matchAll(/Stop-Engine '(\w+)'/g)].map(([, code]) => code));
    // What is nobody's own failure gets this one in the script's last catch.
    expect(text()).toContain("$code = 'GuestFailed'");
    expect(new Set([...thrown, "GuestFailed"])).toEqual(new Set(Object.keys(engineCodes)));
  });
});
