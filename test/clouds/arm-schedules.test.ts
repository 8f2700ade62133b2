/** Shutdown schedules in the simulated Azure: one a machine, by the name that the portal gives it. */
import { expect, test } from "vitest";
import { createTestArm } from "../support/arm-platform.ts";
import { ask, at, groupId, location, make, makeGround, makeMachine, ref } from "../support/arm-requests.ts";

const machine = "Microsoft.Compute/virtualMachines/smtp01";
const named = (name: string) => `Microsoft.DevTestLab/schedules/${name}`;
const body = (more: Record<string, unknown> = {}) => ({
  location,
  properties: {
    status: "Enabled",
    taskType: "ComputeVmShutdownTask",
    dailyRecurrence: { time: "1900" },
    timeZoneId: "UTC",
    targetResourceId: ref(machine).id,
    ...more,
  },
});

test("a schedule is kept as it was given, listed in its group, and refused under another name or for no machine", async () => {
  const arm = createTestArm();
  await makeGround(arm);
  await makeMachine(arm, "smtp01");
  const refused = async (name: string, given: object) =>
    at((await ask(arm, "PUT", named(name), { body: given })).body, "error.code");
  expect(await refused("nightly", body())).toBe("InvalidScheduleId");
  expect(await refused("shutdown-computevm-smtp01", body({ targetResourceId: ref(`${machine}x`).id }))).toBe("ResourceNotFound");
  await make(arm, named("shutdown-computevm-smtp01"), body());
  const { value } = (await ask(arm, "GET", `${groupId}/providers/Microsoft.DevTestLab/schedules`)).body as {
    value: { name: string; properties: object }[];
  };
  expect(value).toMatchObject([{ name: "shutdown-computevm-smtp01", properties: body().properties }]);
});
