/** The guest document on its way to a machine, the engine's text, and how its output is read. */
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeDocument, encodeDocument, gatewayDocument, type GatewaySettings } from "../../shared/guest/document.ts";
import { engineScript, parseEngineOutput } from "../../shared/guest/engine.ts";
import { servicesSchema } from "../../shared/tenants/spec.ts";

const settings: GatewaySettings = {
  generation: 1,
  fqdn: "contoso-abc123.westeurope.cloudapp.azure.com",
  smartHost: "contoso-example.mail.protection.outlook.com",
  domains: ["contoso.example"],
  loopHeader: "X-iqsuite-process",
  loopGuid: { vaultUrl: "https://contoso-abc123.vault.azure.net", name: "loop-guid", version: "0123456789abcdef" },
  services: servicesSchema.parse({ rdp: { sources: ["203.0.113.0/24"] }, keyManager: {} }),
};

describe("the gateway's document", () => {
  test("is the manual's chapters 2.1, 3.2 and 4.1", () => {
    expect(gatewayDocument(settings)).toEqual({
      schema: 1,
      generation: 1,
      features: ["SMTP-Server"],
      smtp: {
        fqdn: "contoso-abc123.westeurope.cloudapp.azure.com",
        smartHost: "contoso-example.mail.protection.outlook.com",
        inboundTls: true,
        outboundTls: true,
        relayFor: ["contoso.example"],
      },
      registry: [
        {
          path: "HKLM\\SOFTWARE\\GBS\\iQ.Suite\\Inject",
          name: "AdditionalInjectHeaders",
          type: "String",
          secret: settings.loopGuid,
          prefix: "X-iqsuite-process:",
        },
      ],
      firewall: [
        { name: "Gatehouse RDP", port: 3389, protocol: "TCP", sources: ["203.0.113.0/24"] },
        { name: "Gatehouse SMTP", port: 25, protocol: "TCP" },
        { name: "Gatehouse KeyManager", port: 8080, protocol: "TCP" },
      ],
      services: [{ name: "SMTPSVC", startType: "Automatic", state: "Running" }],
    });
  });

  test("arrives as it was sent, in an alphabet that cmd.exe leaves alone", () => {
    fc.assert(
      fc.property(fc.array(fc.domain(), { minLength: 1, maxLength: 20 }), fc.nat({ max: 1000 }), (domains, generation) => {
        const document = gatewayDocument({ ...settings, domains, generation: generation + 1 });
        const encoded = encodeDocument(document);
        expect(encoded).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(decodeDocument(encoded)).toEqual(document);
      }),
    );
  });

  test("is refused when it does not fit into one argument", () => {
    const noise = Array.from(
      { length: 900 },
      (_, index) => `${(index * 2_654_435_761).toString(36)}-${(index * 40_503_011).toString(36)}.example`,
    );
    expect(() => encodeDocument(gatewayDocument({ ...settings, domains: noise }))).toThrow(
      expect.objectContaining({ code: "GuestDocumentTooLarge" }),
    );
  });

  test("is refused when it is none", () => {
    for (const encoded of ["", "AAAA", encodeDocument(gatewayDocument(settings)).slice(0, 40)])
      expect(() => decodeDocument(encoded)).toThrow(expect.objectContaining({ code: "GuestDocumentMalformed" }));
  });
});

describe("the engine", () => {
  test("says which engine it is in its first line and takes nothing but the three parameters", () => {
    expect(engineScript.split("\n")[0]).toBe("# gatehouse-guest-engine 1");
    const parameters = /\nparam\(\n([\s\S]*?)\n\)\n/.exec(engineScript)?.[1] ?? "";
    expect([...parameters.matchAll(/\[string\] \$(\w+)/g)].map(([, name]) => name)).toEqual([
      "Document",
      "Mode",
      "IdentityClientId",
    ]);
  });

  test("is plain ASCII, as Windows PowerShell 5.1 reads a script without a byte order mark", () => {
    expect(engineScript.replaceAll("\n", "")).toMatch(/^[ -~]*$/);
  });

  test("evaluates no text as code", () => {
    expect(engineScript).not.toMatch(/Invoke-Expression|\biex\b|ScriptBlock\]::Create|Add-Type/i);
  });

  test("writes only its one line of output", () => {
    expect(engineScript).not.toMatch(/Write-(Host|Output|Verbose|Warning|Error)/);
    expect(engineScript.match(/Out\.WriteLine/g)).toHaveLength(1);
  });

  test("has balanced brackets and here-strings", () => {
    const code = engineScript
      .replace(/<#[\s\S]*?#>/g, "")
      .replace(/'[^'\n]*'/g, "''")
      .replace(/(^|\s)#[^\n]*/g, "$1");
    const count = (character: string): number => code.split(character).length - 1;
    expect([count("{"), count("("), count("[")]).toEqual([count("}"), count(")"), count("]")]);
  });
});

describe("the engine's output", () => {
  const line = '{"inDesiredState":false,"generation":3,"differences":["smtp/fqdn"],"changed":[]}';
  test("is the last line of ours", () => {
    expect(parseEngineOutput(`WARNING: something\r\n{"other":1}\r\n${line}\r\n\r\n`)).toMatchObject({
      generation: 3,
      differences: ["smtp/fqdn"],
    });
  });
  test("is nothing when the engine said nothing", () => {
    for (const output of ["", "boom", "{", '{"inDesiredState":"yes"}']) expect(parseEngineOutput(output)).toBeUndefined();
  });
});
