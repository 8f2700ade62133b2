/** Compute beside the machine itself: sets, zones, disks, sizes, extensions, boot diagnostics, and images whose terms must be accepted. */
import { expect, test } from "vitest";
import { createTestArm, ours, type TestArm } from "../support/arm-platform.ts";
import {
  ask,
  at,
  location,
  machineBody,
  make,
  makeGround,
  makeMachine,
  networkInterface,
  outcome,
  ref,
  remove,
  rows,
  type Body,
} from "../support/arm-requests.ts";

const set = "Microsoft.Compute/availabilitySets/gateways";
const smtp01 = "Microsoft.Compute/virtualMachines/smtp01";
const subscription = `/subscriptions/${ours.subscriptionId}`;
const errorOf = (body: Body): unknown => at(body, "error.code");

const makeSet = (arm: TestArm, platformFaultDomainCount = 2, sku = "Aligned") =>
  ask(arm, "PUT", set, {
    body: { location, sku: { name: sku }, properties: { platformFaultDomainCount, platformUpdateDomainCount: 5 } },
  });

test("machines of a set know it and are known by it, and stand in different domains; a set in use stays", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  expect((await makeSet(arm)).status).toBe(200);
  const inSet = { properties: { availabilitySet: ref(set) } };
  await makeMachine(arm, "smtp01", inSet);
  await makeMachine(arm, "smtp02", inSet);
  const { body } = await ask(arm, "GET", set);
  const ids = (at(body, "properties.virtualMachines") as { id: string }[]).map(({ id }) => id.split("/").at(-1));
  const second = (await ask(arm, "GET", "Microsoft.Compute/virtualMachines/smtp02", { query: "&$expand=instanceView" })).body;
  expect({
    ids,
    set: at(second, "properties.availabilitySet.id"),
    domain: at(second, "properties.instanceView.platformFaultDomain"),
    changed: errorOf((await makeSet(arm, 3)).body),
    removed: errorOf((await ask(arm, "DELETE", set)).body),
    moved: errorOf((await ask(arm, "PUT", smtp01, { body: machineBody("smtp01") })).body),
  }).toEqual({
    ids: ["SMTP01", "SMTP02"],
    set: expect.stringContaining("/resourceGroups/GATEWAY/providers/Microsoft.Compute/availabilitySets/GATEWAYS"),
    domain: 1,
    changed: "PropertyChangeNotAllowed",
    removed: "OperationNotAllowed",
    moved: "PropertyChangeNotAllowed",
  });
  expect(arm.schemaFindings()).toEqual([]);
});

test("a machine stands in a set or in a zone that its region has, never in both", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  await makeSet(arm);
  await make(arm, "Microsoft.Network/networkInterfaces/smtp01-nic", networkInterface({}));
  const put = async (top: Record<string, unknown>, properties: Record<string, unknown> = {}) =>
    errorOf((await ask(arm, "PUT", smtp01, { body: machineBody("smtp01", { top, properties }) })).body);
  expect(await put({ zones: ["1"] }, { availabilitySet: ref(set) })).toBe("BadRequest");
  expect(await put({ zones: ["9"] })).toBe("InvalidAvailabilityZone");
  expect(await put({}, { availabilitySet: ref("Microsoft.Compute/availabilitySets/nothing") })).toBe("InvalidResourceReference");
  expect(await put({ zones: ["2"] })).toBeUndefined();
  arm.advance(60);
  expect(await put({ zones: ["3"] })).toBe("PropertyChangeNotAllowed");
});

test("a zone without capacity fails later, a zone that is restricted at once, and the list tells of the latter", async () => {
  const arm = createTestArm();
  const inRegion = (region: string, name: string) => async (method: string, path: string, body: unknown) => {
    const id = `${subscription}/resourceGroups/${name}${path === "" ? "" : `/providers/${path}`}`;
    return ask(arm, method, id, {
      body: JSON.parse(JSON.stringify(body).replaceAll(`"${location}"`, `"${region}"`).replaceAll("/gateway/", `/${name}/`)),
    });
  };
  const build = async (region: string, vmSize: string, zone: string) => {
    const send = inRegion(region, region);
    await send("PUT", "", { location });
    for (const [path, body] of [
      [
        "Microsoft.Network/virtualNetworks/net",
        {
          location,
          properties: {
            addressSpace: { addressPrefixes: ["10.0.0.0/24"] },
            subnets: [{ name: "smtp", properties: { addressPrefix: "10.0.0.0/26" } }],
          },
        },
      ],
      ["Microsoft.Network/networkSecurityGroups/rules", { location, properties: {} }],
      ["Microsoft.Network/networkInterfaces/smtp01-nic", networkInterface({})],
    ] as const) {
      await send("PUT", path, body);
      arm.advance(10);
    }
    return send("PUT", smtp01, machineBody("smtp01", { vmSize, top: { zones: [zone] } }));
  };
  expect(await outcome(arm, await build("northeurope", "Standard_D4als_v6", "1"))).toMatchObject({
    status: "Failed",
    error: { code: "ZonalAllocationFailed" },
  });
  expect(errorOf((await build("swedencentral", "Standard_D4as_v6", "3")).body)).toBe("SkuNotAvailable");
  const { body } = await ask(arm, "GET", `${subscription}/providers/Microsoft.Compute/skus`, {
    query: "&$filter=location eq 'swedencentral'",
  });
  expect(rows(body).find(({ name }) => name === "Standard_D4as_v6")?.["restrictions"]).toEqual([
    {
      type: "Zone",
      values: ["swedencentral"],
      restrictionInfo: { locations: ["swedencentral"], zones: ["3"] },
      reasonCode: "NotAvailableForSubscription",
    },
  ]);
});

test("disks come in the kinds that the region and the size allow; a kind changes only while the machine is off", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  await make(arm, "Microsoft.Network/networkInterfaces/smtp01-nic", networkInterface({}));
  const withDisk = (storageAccountType: string, vmSize = "Standard_D4as_v5") => {
    const body = machineBody("smtp01", { vmSize });
    const osDisk = { createOption: "FromImage", name: "smtp01-os", managedDisk: { storageAccountType } };
    return { ...body, properties: { ...body.properties, storageProfile: { ...body.properties.storageProfile, osDisk } } };
  };
  const refused = async (body: unknown) => errorOf((await ask(arm, "PUT", smtp01, { body })).body);
  expect(await refused(withDisk("UltraSSD_LRS"))).toBe("InvalidParameter");
  expect(await refused(withDisk("Fast_LRS"))).toBe("InvalidParameter");
  await make(arm, smtp01, withDisk("StandardSSD_LRS"));
  const disk = "Microsoft.Compute/disks/smtp01-os";
  const premium = { sku: { name: "Premium_LRS" } };
  expect(errorOf((await ask(arm, "PATCH", disk, { body: premium })).body)).toBe("OperationNotAllowed");
  arm.platform.peers.actOnMachine?.(ref(smtp01).id, "stop");
  expect((await ask(arm, "PATCH", disk, { body: premium })).status).toBe(200);
  arm.advance(10);
  expect(at((await ask(arm, "GET", disk)).body, "sku")).toEqual({ name: "Premium_LRS", tier: "Premium" });
  expect(errorOf((await ask(arm, "PATCH", disk, { body: { sku: { name: "Premium_ZRS" } } })).body)).toBe("OperationNotAllowed");
  await make(arm, "Microsoft.Compute/disks/spare", {
    location,
    sku: { name: "Premium_ZRS" },
    properties: { creationData: { createOption: "Empty" }, diskSizeGB: 64 },
  });
  const { body } = await ask(arm, "GET", `${subscription}/providers/Microsoft.Compute/skus`, {
    query: "&$filter=location eq 'germanynorth'",
  });
  const kinds = rows(body)
    .filter(({ resourceType }) => resourceType === "disks")
    .map(({ name }) => name);
  expect([kinds.includes("Premium_LRS"), kinds.includes("Premium_ZRS")]).toEqual([true, false]);
  expect(arm.schemaFindings()).toEqual([]);
});

const agent = "Microsoft.Compute/virtualMachines/smtp01/extensions/AzureMonitorWindowsAgent";
const agentBody = (type = "AzureMonitorWindowsAgent") => ({
  location,
  properties: {
    publisher: "Microsoft.Azure.Monitor",
    type,
    typeHandlerVersion: "1.0",
    autoUpgradeMinorVersion: true,
    enableAutomaticUpgrade: true,
    settings: { authentication: { managedIdentity: {} } },
    protectedSettings: { key: "only-for-the-agent" },
  },
});

test("an agent is installed once into a running machine, is seen there, and goes with it", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  await makeMachine(arm, "smtp01");
  const refused = async (path: string, body: unknown) => errorOf((await ask(arm, "PUT", path, { body })).body);
  expect(await refused(agent, agentBody("NoSuchAgent"))).toBe("ArtifactNotFound");
  arm.platform.peers.actOnMachine?.(ref(smtp01).id, "stop");
  expect(await refused(agent, agentBody())).toBe("OperationNotAllowed");
  arm.platform.peers.actOnMachine?.(ref(smtp01).id, "start");
  const made = await make(arm, agent, agentBody());
  expect(await refused(`${agent}2`, agentBody())).toBe("BadRequest");
  const { body } = await ask(arm, "GET", smtp01, { query: "&$expand=instanceView" });
  expect({
    state: at(made, "properties.provisioningState"),
    shown: JSON.stringify(made).includes("only-for-the-agent"),
    below: (at(body, "resources") as Body[]).map(({ name }) => name),
    view: at(body, "properties.instanceView.extensions.0.statuses.0.code"),
    handler: at(body, "properties.instanceView.vmAgent.extensionHandlers.0.type"),
  }).toEqual({
    state: "Succeeded",
    shown: false,
    below: ["AzureMonitorWindowsAgent"],
    view: "ProvisioningState/succeeded",
    handler: "Microsoft.Azure.Monitor.AzureMonitorWindowsAgent",
  });
  expect(arm.schemaFindings()).toEqual([]);
  await remove(arm, smtp01);
  expect((await ask(arm, "GET", agent)).status).toBe(404);
});

test("boot diagnostics give their data where they are on", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  await makeMachine(arm, "smtp01");
  const data = () => ask(arm, "POST", `${smtp01}/retrieveBootDiagnosticsData`, { body: {} });
  expect(errorOf((await data()).body)).toBe("OperationNotAllowed");
  await make(arm, smtp01, machineBody("smtp01", { properties: { diagnosticsProfile: { bootDiagnostics: { enabled: true } } } }));
  expect(await data()).toMatchObject({
    status: 200,
    body: { serialConsoleLogBlobUri: expect.stringContaining("serialconsole.log") },
  });
});

test("an image with a plan needs the plan in the request and its terms accepted once in the subscription", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  await make(arm, "Microsoft.Network/networkInterfaces/smtp01-nic", networkInterface({}));
  const plan = { publisher: "gatewaymaker", product: "mail-gateway", name: "iq-suite-2022" };
  const imageReference = { publisher: plan.publisher, offer: plan.product, sku: plan.name, version: "latest" };
  const put = async (top: Record<string, unknown>) => {
    const body = machineBody("smtp01", { top });
    const storageProfile = { ...body.properties.storageProfile, imageReference };
    return ask(arm, "PUT", smtp01, { body: { ...body, properties: { ...body.properties, storageProfile } } });
  };
  expect(errorOf((await put({})).body)).toBe("VMMarketplaceInvalidInput");
  expect((await put({ plan })).body).toMatchObject({
    error: {
      code: "MarketplacePurchaseEligibilityFailed",
      details: [{ message: expect.stringContaining("has not accepted the legal terms") }],
    },
  });
  const terms = `${subscription}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine/publishers/gatewaymaker/offers/mail-gateway/plans/iq-suite-2022/agreements/current`;
  const { body } = await ask(arm, "GET", terms);
  expect(at(body, "properties.accepted")).toBe(false);
  const accepted = await ask(arm, "PUT", terms, { body: { properties: { ...(body["properties"] as Body), accepted: true } } });
  expect([accepted.status, at(accepted.body, "properties.accepted")]).toEqual([200, true]);
  expect((await put({ plan })).status).toBe(201);
  const unknown = terms.replace("mail-gateway", "other");
  expect((await ask(arm, "GET", unknown)).status).toBe(400);
});
