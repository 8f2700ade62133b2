/** Values that would do harm in a script, an XML file or a URL: refused where they are written down, or arriving unchanged, never run. */
import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { productFiles, withSetUpBegun } from "../../infra/local/clouds/guest/product.ts";
import { freshGuest, redacted } from "../../infra/local/clouds/guest/state.ts";
import { textIn } from "../../infra/local/clouds/guest/xml.ts";
import { iqSuiteSettings } from "../../shared/desired/iq-suite.ts";
import { type GuestDocument, guestDocumentSchema } from "../../shared/guest/document.ts";
import { decodeDocument, encodeDocument, partsOf } from "../../shared/guest/encoding.ts";
import { engineScript } from "../../shared/guest/engine.ts";
import { gatewayDocument, type GatewaySettings } from "../../shared/guest/gateway.ts";
import { heartbeatFiles } from "../../shared/guest/heartbeat.ts";
import { servicesSchema, tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { createMachine, document } from "./machine.ts";

const pieces = [
  "'",
  '"',
  "`",
  "‘",
  "’",
  "‚",
  "‛",
  "“",
  "”",
  "„",
  "$(whoami)",
  "${env:PATH}",
  "@('a')",
  "; Remove-Item C:\\ -Recurse",
  "& calc.exe",
  "| Out-Null",
  "<script>",
  "]]>",
  "<!--",
  "&amp;",
  "&#0;",
  "%COMSPEC%",
  "^&",
  "..\\..\\",
  "../../",
  "?api-version=1#",
  "\r\nRCPT TO:<x@example>",
  "\u0000",
  "\u0001",
  "\u001b[2J",
  "\u007f",
  "\u0085",
  "\u2028",
  "\u200f",
  "\u202e",
  "\u2066",
  "\ud800",
  "\ufffe",
  "x".repeat(10_000),
  "é",
  "邮",
  "🙂",
];
const hostile = fc
  .array(fc.oneof(fc.constantFrom(...pieces), fc.string({ maxLength: 8 })), { minLength: 1, maxLength: 4 })
  .map((all) => all.join(""));
const unprintable = /[\p{Cc}\p{Cs}\u2028\u2029\uFFFE\uFFFF]/u;
const xmlFile = "C:\\Data\\settings.xml";
const xml = '<?xml version="1.0"?>\n<settings><add key="a" value="" /><text></text></settings>';
const key = "hklm\\software\\a";

/** The document, when its schema lets the value in. */
const admitted = (sections: unknown): GuestDocument | undefined => {
  const parsed = guestDocumentSchema.safeParse({ ...document(), ...(sections as object) });
  return parsed.success ? parsed.data : undefined;
};

describe("free text", () => {
  test("is refused when it has control characters or is too long, and arrives unchanged in registry, files and XML otherwise", async () => {
    await fc.assert(
      fc.asyncProperty(hostile, async (value) => {
        const desired = admitted({
          registry: [
            { path: "HKLM\\SOFTWARE\\A", name: "Text", type: "String", value },
            { path: "HKLM\\SOFTWARE\\A", name: "List", type: "MultiString", value: [value] },
          ],
          xml: [
            {
              file: xmlFile,
              nodes: [
                { path: "/settings/text", value },
                { path: "/settings/add[@key='a']/@value", value },
              ],
            },
          ],
        });
        // A list of Windows' registry can hold no empty text.
        const refused = unprintable.test(value) || value.length > 1024 || value === "";
        expect(desired === undefined).toBe(refused);
        if (desired === undefined) return;
        expect(encodeDocument(desired)).toMatch(/^[A-Za-z0-9_-]+$/);
        expect(decodeDocument(encodeDocument(desired))).toEqual(desired);
        const machine = createMachine({ files: { [xmlFile.toLowerCase()]: { path: xmlFile, text: xml } } });
        expect(await machine.run("set", desired)).toMatchObject({ inDesiredState: true });
        expect(machine.state().registry[key]).toEqual({
          Text: { type: "String", data: value },
          List: { type: "MultiString", data: [value] },
        });
        expect(await machine.run("test", desired)).toMatchObject({ inDesiredState: true });
      }),
      { numRuns: 300 },
    );
  });

  test("a file's content may be any text but what no encoding holds", async () => {
    await fc.assert(
      fc.asyncProperty(hostile, async (content) => {
        const desired = admitted({ files: [{ path: "C:\\Data\\x.txt", content }] });
        expect(desired === undefined).toBe(!content.isWellFormed() || content.includes("\0"));
        if (desired === undefined) return;
        const machine = createMachine();
        expect(await machine.run("set", desired)).toMatchObject({ inDesiredState: true });
        expect(machine.state().files["c:\\data\\x.txt"]?.text).toBe(content);
      }),
      { numRuns: 200 },
    );
  });
});

describe("names", () => {
  /** Where a document's text becomes part of a path, a query, a command's argument or a URL. */
  const places: Record<string, (value: string) => unknown> = {
    "a file's path": (value) => ({ files: [{ path: `C:\\${value}`, content: "" }] }),
    "an XML file's path": (value) => ({ xml: [{ file: value, nodes: [{ path: "/a", value: "" }] }] }),
    "an XML node's path": (value) => ({ xml: [{ file: xmlFile, nodes: [{ path: `/a[@b='${value}']`, value: "" }] }] }),
    "a service": (value) => ({ services: [{ name: value, startType: "Automatic", state: "Running" }] }),
    "a feature": (value) => ({ features: [value] }),
    "a firewall rule": (value) => ({ firewall: [{ name: value, port: 25, protocol: "TCP" }] }),
    "a firewall rule's source": (value) => ({ firewall: [{ name: "x", port: 25, protocol: "TCP", sources: [value] }] }),
    "a task": (value) => ({ tasks: [{ name: value, execute: "C:\\x.exe", everyInMinutes: 5 }] }),
    "a task's program": (value) => ({ tasks: [{ name: "x", execute: value, everyInMinutes: 5 }] }),
    "an account": (value) => ({ groups: [{ group: "S-1-5-32-544", members: [value] }] }),
    "a user right": (value) => ({ rights: [{ right: value, accounts: ["x"] }] }),
    "a smart host": (value) => ({
      smtp: { fqdn: "a.example", smartHost: value, inboundTls: true, outboundTls: true, relayFor: [] },
    }),
    "a relay domain": (value) => ({
      smtp: { fqdn: "a.example", smartHost: "b.example", inboundTls: true, outboundTls: true, relayFor: [value] },
    }),
    "a thumbprint": (value) => ({ certificates: [{ thumbprint: value, store: "My", absent: true }] }),
    "a secret's name": (value) => ({
      files: [{ path: "C:\\x", secret: { vaultUrl: "https://a.vault.azure.net", name: value, version: "1" } }],
    }),
    "a secret's version": (value) => ({
      files: [{ path: "C:\\x", secret: { vaultUrl: "https://a.vault.azure.net", name: "a", version: value } }],
    }),
  };
  const dangerous = /['"`‘’‚‛“”„$(){};|<>%^#\p{Cc}\u2028\u2029]|&|\.\.[\\/]/u;

  test.each(Object.entries(places))("%s is refused with anything that could be read as more than a name", (place, within) => {
    // A file's name may have what only a shell would read, and none reads it: the engine hands it to .NET, which takes it as it is.
    const harmless = /path$|program$/.test(place)
      ? /['`‘’‚‛“”„$(){};%^#&]/gu
      : /account/.test(place)
        ? /['`‘’‚‛“”„$(){}%^#&]/gu
        : /(?!)/g;
    fc.assert(
      fc.property(hostile, (value) => {
        if (!dangerous.test(value.replace(harmless, "")) || (place === "a service" && /^[\w ._$-]+$/.test(value))) return;
        expect(admitted(within(value))).toBeUndefined();
      }),
      { numRuns: 300 },
    );
  });
});

test("a tenant's spec lets no hostile value into what becomes a name, an address or a URL", () => {
  const contoso = JSON.parse(readFileSync("examples/contoso.json", "utf8")) as Record<string, never>;
  const { tenantId: _, ...spec } = contoso as unknown as { tenantId: string } & Record<string, Record<string, unknown>>;
  const strings: [string, string][] = [
    ["microsoft365", "tenantId"],
    ["microsoft365", "probeMailbox"],
    ["azure", "tenantId"],
    ["azure", "subscriptionId"],
    ["gateway", "region"],
    ["gateway", "size"],
  ];
  fc.assert(
    fc.property(hostile, fc.constantFrom(...strings), (value, [section, name]) => {
      const parsed = tenantSpecSchema.safeParse({ ...spec, [section]: { ...spec[section], [name]: value } });
      expect(parsed.success).toBe(false);
    }),
    { numRuns: 300 },
  );
  fc.assert(
    fc.property(hostile, (value) => {
      const parsed = tenantSpecSchema.safeParse({ ...spec, microsoft365: { ...spec["microsoft365"], domains: [value] } });
      expect(parsed.success).toBe(false);
    }),
    { numRuns: 300 },
  );
});

describe("what a spec says of iQ.Suite", () => {
  const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8")) as {
    tenantId: string;
  } & Record<string, Record<string, unknown>>;
  const admittedSpec = (iqSuite: object) =>
    tenantSpecSchema.safeParse({
      ...contoso,
      microsoft365: { ...contoso["microsoft365"], powerShellApplication: true },
      gateway: { ...contoso["gateway"], iqSuite },
    }).data;
  const account = (value: string) => ({ user: "a@contoso.example", password: value });

  /** Where a text becomes a secret's name, an element's, a path or an id. */
  const names: Record<string, (value: string) => object> = {
    "a secret of mail reporting": (value) => ({ mailReporting: { account: [{ name: "Password", secret: value }] } }),
    "a secret of the LDIF generator": (value) => ({
      ldifGenerator: { administrator: account(value), synchronizationUser: account("sync") },
    }),
    "a secret of Exchange Web Services": (value) => ({
      exchangeWebServices: { clientId: "c0ffee00-0000-4000-8000-0000000000e5", clientSecret: value },
    }),
    "a client id": (value) => ({ exchangeWebServices: { clientId: value, clientSecret: "reader" } }),
    "the reset's flag": (value) => ({ webClient: { adminGroups: ["A"], resetSecurityContext: { flag: value } } }),
  };
  test.each(Object.entries(names))("%s is a name or refused", (_place, within) => {
    fc.assert(
      fc.property(hostile, (value) => {
        if (admittedSpec(within(value)) !== undefined) expect(value).toMatch(/^[\w.-]+$/);
      }),
      { numRuns: 300 },
    );
  });

  test("an LDIF file's path stays on its drive, with no step up and nothing that a reader would take for more", () => {
    fc.assert(
      fc.property(hostile, (value) => {
        for (const ldifFile of [value, `C:\\${value}`])
          if (admittedSpec({ webClient: { adminGroups: ["A"], ldifFile } }) !== undefined) {
            expect(ldifFile).toMatch(/^[A-Za-z]:\\[^/:*?"<>|\p{Cc}]+$/u);
            expect(ldifFile.split("\\")).not.toContain("..");
          }
      }),
      { numRuns: 300 },
    );
  });

  test("free text is refused, or stands in Windows as it was sent: registry and XML", async () => {
    const reference = { vaultUrl: "https://contoso-abc123.vault.azure.net", name: "s", version: "1" };
    const applications = { appId: "web", objectId: "1", powerShell: { appId: "shell", objectId: "2" } };
    const ground = { applications, namedSecrets: { s: reference } };
    await fc.assert(
      fc.asyncProperty(hostile, async (value) => {
        const spec = admittedSpec({
          mailReporting: { account: [{ name: "Text", value }] },
          webClient: { adminGroups: [value] },
          ldifGenerator: { administrator: { user: value, password: "s" }, synchronizationUser: account("s") },
        });
        expect(spec === undefined).toBe(unprintable.test(value) || value.length > 254 || value === "" || value.includes(";"));
        if (spec === undefined) return;
        const settings = iqSuiteSettings(spec, ground, { computerName: "gw1" }, { clientSecret: reference });
        const desired = gatewayDocument({ ...plainGateway(reference), ...settings });
        const before = freshGuest({ virtualMachineId: "/vm", computerName: "gw1", smtpServerFeature: true });
        const machine = createMachine(withSetUpBegun(before, 0), { s: "the secret" });
        for (const part of partsOf(desired)) expect(await machine.run("set", part)).toMatchObject({ inDesiredState: true });
        const { registry, files } = machine.state();
        const at = (file: string, path: string) => textIn(files[file.toLowerCase()]?.text ?? "", file, path);
        expect(registry["hklm\\software\\gbs\\iq.suite\\controlservice\\mailreporting"]?.["Text"]?.data).toBe(value);
        expect(at(productFiles.webClient, "/configuration/Roles/AdminGroups")).toBe(value);
        expect(at(productFiles.ldifGenerator, "/LdifGenCfg/User")).toBe(value);
      }),
      { numRuns: 40 },
    );
  });

  test("a registry value's name is refused with a backslash or a control character, and is that value's and no other's otherwise", async () => {
    const names = { queueError: "b", badmailWarning: "c", badmailError: "d" };
    await fc.assert(
      fc.asyncProperty(hostile, async (value) => {
        const spec = admittedSpec({ monitoring: { thresholdNames: { queueWarning: value, ...names } } });
        const taken = ["b", "c", "d"].includes(value.toLowerCase());
        expect(spec === undefined).toBe(
          unprintable.test(value) || value.length > 255 || value === "" || value.includes("\\") || taken,
        );
        if (spec === undefined) return;
        const settings = iqSuiteSettings(spec, {}, { computerName: "gw1" }, {});
        const machine = createMachine({}, { s: "the secret" });
        const reference = { vaultUrl: "https://contoso-abc123.vault.azure.net", name: "s", version: "1" };
        await machine.run("set", gatewayDocument({ ...plainGateway(reference), ...settings }));
        const monitor = machine.state().registry["hklm\\software\\gbs\\iq.suite\\controlservice\\smtpmonitoring"] ?? {};
        expect(Object.keys(monitor).toSorted()).toEqual(
          [value, "b", "c", "d", "CheckTimeout", "AutoRestartSMTPSvcEnabled"].toSorted(),
        );
      }),
      { numRuns: 40 },
    );
  });
});

const plainGateway = (loopGuid: GatewaySettings["loopGuid"]): GatewaySettings => ({
  generation: 1,
  fqdn: "contoso.westeurope.cloudapp.azure.example",
  smartHost: "contoso-example.mail.protection.outlook.com",
  domains: ["contoso.example"],
  loopHeader: "X-iqsuite-process",
  loopGuid,
  services: servicesSchema.parse({}),
});

describe("secrets", () => {
  const canary = "c4n4ry-Xy!9'\"<&>";
  const secret = { vaultUrl: "https://contoso-abc123.vault.azure.net", name: "canary", version: "1" };
  const desired = gatewayDocument({
    generation: 1,
    fqdn: "contoso.westeurope.cloudapp.azure.example",
    smartHost: "contoso-example.mail.protection.outlook.com",
    domains: ["contoso.example"],
    loopHeader: "X-iqsuite-process",
    loopGuid: secret,
    clientSecret: secret,
    services: servicesSchema.parse({}),
  });
  const whole: GuestDocument = {
    ...desired,
    files: [{ path: "C:\\Data\\secret.txt", secret }],
    xml: [{ file: xmlFile, nodes: [{ path: "/settings/text", secret }] }],
  };

  test("reach their places and no argument, script, result or view of the machine", async () => {
    const machine = createMachine({ files: { [xmlFile.toLowerCase()]: { path: xmlFile, text: xml } } }, { canary });
    const set = await machine.run("set", whole);
    expect(set).toMatchObject({ inDesiredState: true });
    expect(machine.state().files["c:\\data\\secret.txt"]?.text).toBe(canary);
    const seen = JSON.stringify([
      engineScript,
      decodeDocument(encodeDocument(whole)),
      set,
      await machine.run("test", whole),
      redacted(machine.state()),
      heartbeatFiles({ url: "https://gatehouse.example", audience: "a", identityClientId: "b", fqdn: "c", services: [] }),
    ]);
    expect(seen).not.toContain("c4n4ry");
  });

  test("don't show when the run fails after they were read", async () => {
    const machine = createMachine({ lcmBusy: true }, { canary });
    const failed = await machine.run("set", whole);
    expect(failed.error?.code).toBe("LcmBusy");
    expect(JSON.stringify([failed, redacted(machine.state())])).not.toContain("c4n4ry");
  });
});
