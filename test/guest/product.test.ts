/** A machine of an image that sets itself up: nothing of ours is written before that has ended, and then all of it, over what was left. */
import { describe, expect, test } from "vitest";
import { productFiles, withSetUpBegun } from "../../infra/local/clouds/guest/product.ts";
import { freshGuest, type GuestState } from "../../infra/local/clouds/guest/state.ts";
import { gatewayDocument, type GatewaySettings } from "../../shared/guest/gateway.ts";
import { iqSuiteSchema } from "../../shared/tenants/iq-suite.ts";
import { servicesSchema } from "../../shared/tenants/spec.ts";
import { createMachine, NOW } from "./machine.ts";

const vaultUrl = "https://contoso-abc123.vault.azure.net";
const secret = (name: string) => ({ vaultUrl, name, version: "1" });
const secrets = { "loop-guid": "c0ffee00-0000-4000-8000-00000000900d" };
const settings: GatewaySettings = {
  generation: 1,
  fqdn: "contoso-abc123.westeurope.cloudapp.azure.com",
  smartHost: "contoso-example.mail.protection.outlook.com",
  domains: ["contoso.example"],
  loopHeader: "X-iqsuite-process",
  loopGuid: secret("loop-guid"),
  services: servicesSchema.parse({}),
  automatedSetUp: { removeTranscript: false },
};

const machineUntil = (endsAt: number) =>
  createMachine(
    withSetUpBegun(freshGuest({ virtualMachineId: "/vm", computerName: "gw1", smtpServerFeature: true }), endsAt),
    secrets,
  );
const fileIn = ({ files }: GuestState, path: string): string | undefined => files[path.toLowerCase()]?.text;
const monitor = "hklm\\software\\gbs\\iq.suite\\controlservice\\smtpmonitoring";

describe("the image's own set-up", () => {
  test("is not disturbed while it goes on", async () => {
    const machine = machineUntil(NOW + 1000);
    const before = structuredClone(machine.state().files);
    const run = await machine.run("set", gatewayDocument(settings));
    expect(run).toMatchObject({
      exitCode: 3,
      error: { code: "EvidenceMissing", message: `the image's own set-up has not ended: ${productFiles.configuration}` },
    });
    expect(machine.state().files).toEqual(before);
    expect(machine.state().metabase).toBeUndefined();
  });

  test("has ended only when nobody writes its transcript any more", async () => {
    const machine = createMachine(
      {
        files: {
          [productFiles.configuration.toLowerCase()]: {
            path: productFiles.configuration,
            text: "<configuration><userData><Guid>early</Guid></userData></configuration>",
          },
          [productFiles.transcript.toLowerCase()]: { path: productFiles.transcript, text: "…", open: true },
        },
      },
      secrets,
    );
    expect((await machine.run("set", gatewayDocument(settings))).error?.message).toContain("Initialize-iQSuiteAzure.log");
  });

  test("once it has ended its GUID becomes the tenant's own in both places, and its transcript stays", async () => {
    const machine = machineUntil(NOW);
    expect(await machine.run("set", gatewayDocument(settings))).toMatchObject({ inDesiredState: true });
    expect(fileIn(machine.state(), productFiles.configuration)).toContain(`<Guid>${secrets["loop-guid"]}</Guid>`);
    expect(machine.state().registry["hklm\\software\\gbs\\iq.suite\\inject"]?.["AdditionalInjectHeaders"]?.data).toBe(
      `X-iqsuite-process:${secrets["loop-guid"]}`,
    );
    expect(fileIn(machine.state(), productFiles.transcript)).toContain("SQL SA password");
  });

  test("its transcript goes where that is asked for, and stays gone", async () => {
    const machine = machineUntil(NOW);
    const desired = gatewayDocument({ ...settings, automatedSetUp: { removeTranscript: true } });
    expect(await machine.run("set", desired)).toMatchObject({ inDesiredState: true });
    expect(fileIn(machine.state(), productFiles.transcript)).toBeUndefined();
    expect(JSON.stringify(machine.state())).not.toContain("SQL SA password");
    expect(await machine.run("set", desired)).toMatchObject({ inDesiredState: true, changed: [] });
  });
});

test("the product's monitor goes by the spec's numbers, by thresholds only where their names are known", async () => {
  const names = { queueWarning: "QW", queueError: "QE", badmailWarning: "BW", badmailError: "BE" };
  const monitoring = (more: object) =>
    iqSuiteSchema.parse({ monitoring: { checkIntervalInSeconds: 300, restartSmtp: false, ...more } }).monitoring;
  const dword = (data: number) => ({ type: "DWord", data });
  const machine = machineUntil(NOW);
  await machine.run("set", gatewayDocument({ ...settings, monitoring: monitoring({}) }));
  expect(machine.state().registry[monitor]).toEqual({ CheckTimeout: dword(300), AutoRestartSMTPSvcEnabled: dword(0) });
  const named = gatewayDocument({
    ...settings,
    monitoring: monitoring({ queue: { warning: 20, error: 40 }, thresholdNames: names }),
  });
  expect(await machine.run("set", named)).toMatchObject({ inDesiredState: true });
  expect(machine.state().registry[monitor]).toMatchObject({ QW: dword(20), QE: dword(40), BW: dword(10), BE: dword(20) });
});
