/**
 * Microsoft.DevTestLab/schedules: the "auto-shutdown" of a virtual machine's page in the portal. It is kept and checked; no machine stops.
 *
 * Source: devtestlabs' DTL.json (2018-09-15), whose global schedules these are; the portal's own template for the name, which has to be
 * `shutdown-computevm-` and the machine's.
 */
import * as z from "zod";
import { ArmError, parseBody, tagsSchema, type Json } from "./envelope.ts";
import type { Estate } from "./estate.ts";
import type { ResourceType } from "./resource-type.ts";

const type = "Microsoft.DevTestLab/schedules";
const PREFIX = "shutdown-computevm-";

const scheduleSchema = z.looseObject({
  location: z.string(),
  tags: tagsSchema.optional(),
  properties: z.looseObject({
    status: z.enum(["Enabled", "Disabled"]).default("Disabled"),
    taskType: z.literal("ComputeVmShutdownTask"),
    dailyRecurrence: z.looseObject({ time: z.string().regex(/^([01]\d|2[0-3])[0-5]\d$/) }),
    timeZoneId: z.string(),
    targetResourceId: z.string(),
  }),
});

export const shutdownSchedules = (estate: Estate): ResourceType => ({
  type,
  manner: "sync",
  put: ({ id, name, body }) => {
    const { location, tags, properties } = parseBody(scheduleSchema, body);
    const machine = estate.resource(properties.targetResourceId);
    if (machine?.type !== "Microsoft.Compute/virtualMachines")
      throw new ArmError(404, "ResourceNotFound", `The Resource '${properties.targetResourceId}' was not found.`);
    if (name.toLowerCase() !== `${PREFIX}${machine.name}`.toLowerCase())
      throw new ArmError(
        400,
        "InvalidScheduleId",
        `The name of the schedule of '${machine.name}' is '${PREFIX}${machine.name}'.`,
      );
    const shown: Json = { ...properties, provisioningState: "Succeeded" };
    return { location, body: { id, name, type, location, ...(tags === undefined ? {} : { tags }), properties: shown } };
  },
});
