/** What a cmdlet takes is a type: a wrong parameter, or a value of the wrong kind, doesn't compile, so these tests are the compiler's. */
import { expectTypeOf, test } from "vitest";
import type { Read } from "../../shared/exchange/batch.ts";
import type { Exchange } from "../../shared/exchange/client.ts";
import type { CmdletParameters, CmdletResult, ReadCmdlet, WriteCmdlet } from "../../shared/exchange/cmdlets.ts";

test("a parameter that the cmdlet doesn't have is none", () => {
  expectTypeOf<{ Enabled: boolean }>().not.toExtend<CmdletParameters["Enable-TransportRule"]>();
  // Rules are switched by cmdlets of their own: Set-TransportRule would refuse it.
  expectTypeOf<CmdletParameters["Set-TransportRule"]>().not.toHaveProperty("Enabled");
  expectTypeOf<CmdletParameters["New-TransportRule"]>().toHaveProperty("Enabled");
  expectTypeOf<CmdletParameters["New-InboundConnector"]>().not.toHaveProperty("SmartHosts");
  expectTypeOf<CmdletParameters["Remove-InboundConnector"]>().not.toHaveProperty("Confirm");
});

test("what a cmdlet insists on can't be left out", () => {
  expectTypeOf<{ Name: string }>().not.toExtend<CmdletParameters["New-InboundConnector"]>();
  expectTypeOf<{ Name: string; SenderDomains: string[] }>().toExtend<CmdletParameters["New-InboundConnector"]>();
  expectTypeOf<Record<string, never>>().not.toExtend<CmdletParameters["Set-TransportRule"]>();
});

test("values are of the parameter's kind: enumerations by name, lists as lists, a list of others by Add and Remove only", () => {
  type Outbound = CmdletParameters["New-OutboundConnector"];
  expectTypeOf<"Opportunistic">().not.toExtend<Outbound["TlsSettings"]>();
  expectTypeOf<"DomainValidation">().toExtend<Outbound["TlsSettings"]>();
  expectTypeOf<string>().not.toExtend<Outbound["SmartHosts"]>();
  expectTypeOf<string[]>().not.toExtend<CmdletParameters["Set-HostedConnectionFilterPolicy"]["IPAllowList"]>();
  expectTypeOf<{ Add: string[] }>().toExtend<CmdletParameters["Set-HostedConnectionFilterPolicy"]["IPAllowList"]>();
  // Only a rule that exists has something to clear.
  expectTypeOf<null>().not.toExtend<CmdletParameters["New-TransportRule"]["FromScope"]>();
  expectTypeOf<null>().toExtend<CmdletParameters["Set-TransportRule"]["FromScope"]>();
});

test("reads are lists and batches, writes are runs", () => {
  expectTypeOf<"Get-TransportRule">().toExtend<ReadCmdlet>();
  expectTypeOf<"New-TransportRule">().not.toExtend<ReadCmdlet>();
  expectTypeOf<"New-TransportRule">().toExtend<WriteCmdlet>();
  expectTypeOf<Parameters<Exchange["list"]>[1]>().toEqualTypeOf<ReadCmdlet>();
  expectTypeOf<Parameters<Exchange["run"]>[1]>().toEqualTypeOf<WriteCmdlet>();
  // A batch promises no order, so nothing that changes something gets into one.
  expectTypeOf<Read["cmdlet"]>().toEqualTypeOf<ReadCmdlet>();
});

test("what comes back has its own properties", () => {
  expectTypeOf<CmdletResult<"Get-TransportRule">["Priority"]>().toEqualTypeOf<number>();
  expectTypeOf<CmdletResult<"Get-InboundConnector">["SenderIPAddresses"]>().toEqualTypeOf<string[]>();
});
