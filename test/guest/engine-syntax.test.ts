/** The engine that runs as SYSTEM on customers' machines is PowerShell that can be read, and calls only what is listed here. */
import { readFile } from "node:fs/promises";
import { beforeAll, expect, test } from "vitest";
import type { Tree } from "web-tree-sitter";
import { everyNode, grammar, syntaxErrors } from "../support/syntax-trees.ts";

/** Cmdlets of Windows PowerShell 5.1 on Windows Server; the rest are the engine's own functions. */
const CMDLETS = [
  "ConvertFrom-Json",
  "ConvertTo-Json",
  "ForEach-Object",
  "Get-ChildItem",
  "Get-Date",
  "Get-ItemProperty",
  "Get-NetFirewallAddressFilter",
  "Get-NetFirewallPortFilter",
  "Get-NetFirewallRule",
  "Get-Service",
  "Get-WindowsFeature",
  "Install-WindowsFeature",
  "Invoke-RestMethod",
  "New-Item",
  "New-ItemProperty",
  "New-NetFirewallRule",
  "New-Object",
  "New-SelfSignedCertificate",
  "Remove-NetFirewallRule",
  "Restart-Service",
  "Select-Object",
  "Set-Service",
  "Set-StrictMode",
  "Sort-Object",
  "Start-Service",
  "Start-Sleep",
  "Stop-Service",
  "Test-Path",
  "Where-Object",
];

let tree: Tree;
beforeAll(async () => {
  const parse = await grammar("powershell");
  tree = parse(await readFile(new URL("../../shared/guest/engine.ps1", import.meta.url), "utf8"));
});

const texts = (type: string): string[] =>
  [...everyNode(tree.rootNode)].filter((node) => node.type === type).map(({ text }) => text);

test("the engine is PowerShell that can be read", () => {
  expect(syntaxErrors(tree)).toEqual([]);
});

test("the engine calls its own functions and listed cmdlets only", () => {
  const own = new Set(texts("function_name"));
  const called = [...new Set(texts("command_name"))];
  expect(called.length).toBeGreaterThan(20);
  expect(called.filter((name) => !own.has(name) && !CMDLETS.includes(name))).toEqual([]);
  expect(CMDLETS.filter((name) => !called.includes(name))).toEqual([]);
  expect([...own].filter((name) => !called.includes(name))).toEqual([]);
});

test("nothing that is data is ever run", () => {
  expect(texts("command_invokation_operator")).toEqual([]);
  const running =
    /\b(Invoke-Expression|iex|Invoke-Command|Start-Process|Add-Type)\b|\[scriptblock\]|::Create\(|\.InvokeScript\(|ExpandString/i;
  const code = [...everyNode(tree.rootNode)].filter(({ type, childCount }) => childCount === 0 && type !== "comment");
  expect(code.map(({ text }) => text).filter((text) => running.test(text))).toEqual([]);
});

test("what the engine prints, it prints in one place", () => {
  const text = tree.rootNode.text;
  expect(text.match(/\[Console\]::Out\.WriteLine/g)).toHaveLength(1);
  expect(
    texts("command_name").filter((name) => /^Write-(Host|Output|Verbose|Debug|Warning|Error|Information)$/i.test(name)),
  ).toEqual([]);
});
