/** What a plan says beside what would be done: costs and decisions before machines are made, and whatever would stop them afterwards. */
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Finding } from "../../shared/api/plan.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";

let platform: OnboardingPlatform;
const tenant = customer("contoso", "tamarind", { disk: "StandardSSD_ZRS", placement: "zones" });
const { tenantId } = tenant;
beforeAll(async () => {
  platform = await startOnboarding();
  await platform.organize(tenant);
  await platform.register(tenant);
});
afterAll(() => platform.stop());

const findings = async (): Promise<Finding[]> => (await platform.northwind.planOnboarding({ tenantId })).body.findings;

/** The machine's auto-shutdown, as its page in the portal writes it. */
async function schedule(status: "Enabled" | "Disabled"): Promise<string> {
  const { environment, application } = platform.clouds;
  const { endpoint, audience } = environment.resourceManager;
  const { resources } = (await platform.clouds.state("arm")) as { resources: { id: string; name: string; type: string }[] };
  const machine = resources.find(
    ({ id, type }) => type === "Microsoft.Compute/virtualMachines" && id.includes(tenant.spec.azure.subscriptionId),
  );
  const token = await createCredentials(environment, application)
    .inTenant(tenant.spec.azure.tenantId)
    .getToken(`${audience}/.default`);
  const [group = ""] = machine?.id.split("/providers/") ?? [];
  const path = `${group}/providers/Microsoft.DevTestLab/schedules/shutdown-computevm-${machine?.name}`;
  const { status: answered } = await fetch(`${endpoint}${path}?api-version=2018-09-15`, {
    method: "PUT",
    headers: { authorization: `Bearer ${token?.token}`, "content-type": "application/json" },
    body: JSON.stringify({
      location: "westeurope",
      properties: {
        status,
        taskType: "ComputeVmShutdownTask",
        dailyRecurrence: { time: "1900" },
        timeZoneId: "W. Europe Standard Time",
        targetResourceId: machine?.id,
        notificationSettings: { status: "Disabled" },
      },
    }),
  });
  expect(answered).toBeLessThan(300);
  return machine?.name ?? "";
}

test("before anything is made: what costs more, and what is decided for good", async () => {
  const said = (await findings()).filter(({ code }) => code !== "ConsentRequired");
  expect(said).toEqual([
    {
      code: "DiskCostsMore",
      severity: "information",
      message:
        "each machine gets a disk of the kind StandardSSD_ZRS: disks that are kept in three zones cost more than those in one",
      remedy: "keep it where mail must pass quickly or outlive a zone; else name another gateway.disk now, it is fixed later",
    },
    {
      code: "FixedOnceMade",
      severity: "warning",
      message:
        "decided for good when it is made: names and regions (westeurope), and of each machine its place (zones), its disk (StandardSSD_ZRS), its image (MicrosoftWindowsServer:WindowsServer:2022-datacenter-azure-edition)",
      remedy: "look at gateway.regions, placement, disk and image once more; later they change only by replacing what stands",
    },
  ]);
});

test("once they stand nothing is left to say, until somebody has a machine stopped every day", async () => {
  const operation = await platform.untilEnded(await platform.start(tenant));
  expect(operation.error).toBeUndefined();
  expect(await findings()).toEqual([]);
  const machine = await platform.asStranger(() => schedule("Enabled"));
  expect(await findings()).toEqual([
    {
      code: "ShutdownScheduled",
      severity: "warning",
      message: expect.stringMatching(
        new RegExp(
          `^the schedule shutdown-computevm-${machine} in \\S+ stops ${machine} every day at 1900 W\\. Europe Standard Time`,
        ),
      ),
      remedy: expect.stringContaining("az vm auto-shutdown"),
    },
  ]);
  await platform.asStranger(() => schedule("Disabled"));
  expect(await findings()).toEqual([]);
});
