/** The simulated activity log: writes with their callers, newest first, within the time and the resource group that are asked for. */
import { expect, test } from "vitest";
import { activitiesIn } from "../../shared/azure/activity-log.ts";
import { present } from "../../shared/resources/resource.ts";
import { createTestArm, ours } from "../support/arm-platform.ts";
import { ask, groupId, location, make, makeGround } from "../support/arm-requests.ts";

const values = `/subscriptions/${ours.subscriptionId}/providers/Microsoft.Insights/eventtypes/management/values`;
const nsg = "Microsoft.Network/networkSecurityGroups/smtp";

test("who wrote and who removed is told, who read is not; without a time the filter is refused", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  const begun = new Date(arm.platform.now()).toISOString();
  arm.advance(60);
  await make(arm, nsg, { location, properties: { securityRules: [] } });
  arm.advance(60);
  const colleague = { appid: "c0ffee00-0000-4000-8000-0000000000c2" };
  const path = `${groupId}/providers/${nsg}`;
  await arm.request("PUT", `${path}?api-version=2025-05-01`, { body: { location, properties: {} }, claims: colleague });
  await ask(arm, "GET", nsg);

  const get = async (_tenant: string, path: string) => {
    const { status, body } = await arm.request("GET", path);
    if (status !== 200) throw new Error(`${path}: ${status}`);
    return present(body);
  };
  const seen = await activitiesIn({ get }, { entraTenantId: "", ...ours }, "gateway", begun);
  expect(seen).toMatchObject({
    state: "present",
    actual: [
      { resourceId: path, operation: "Microsoft.Network/networkSecurityGroups/write", applicationId: colleague.appid },
      { resourceId: path, operation: "Microsoft.Network/networkSecurityGroups/write", caller: ours.principalId },
    ],
  });
  expect(seen.state === "present" && seen.actual).toHaveLength(2);
  expect((await arm.request("GET", `${values}?api-version=2015-04-01`)).status).toBe(400);
});
