/** Somebody stops the gateway's machine in Azure and starts it again: the next sweep sees it, and says so once. */
import type { GatewayState } from "../../../shared/api/gateway.ts";
import { eventLines, type Story } from "./story.ts";

export async function showOutage(story: Story): Promise<void> {
  const { gateway, tenantId, screen, until } = story;
  if ((await healthOf(story)) !== "healthy") {
    await act(story, "start");
    await until(`${gateway.id} to be healthy before the story begins`, async () =>
      // The condition comes last: then the event was told.
      (await healthOf(story)) === "healthy" && (await story.condition("GatewayHealthy"))?.status === "True" ? true : undefined,
    );
  }
  await turn(story, "stop", "False");
  await turn(story, "start", "True");
  screen.say(`\nGET /api/events?tenantId=${tenantId} has:\n${eventLines(await story.newEvents()).join("\n")}`);
}

/** One change in Azure, and what becomes of it. */
async function turn(story: Story, action: "stop" | "start", status: "True" | "False"): Promise<void> {
  const { gateway, partner, screen, tell, until } = story;
  const known = (await story.newEvents()).length;
  await act(story, action);
  screen.say(
    `${action === "stop" ? "Stopped" : "Started"} ${gateway.virtualMachineId.split("/").at(-1)} in Azure, behind Gatehouse's back.`,
  );
  const condition = await until(`GatewayHealthy to be ${status}`, async () => {
    const found = await story.condition("GatewayHealthy");
    return found?.status === status ? found : undefined;
  });
  const { state } = (await partner.getGateway({ gatewayId: gateway.id })).body;
  tell(`gateway ${gateway.id}: ${state.health} (${state.power ?? "no power state"}, ${state.reason})`);
  tell(`condition GatewayHealthy ${condition.status}: ${condition.reason}, ${condition.message}`);
  const event = await until("its event", async () => (await story.newEvents())[known]);
  const { before, after } = event.data as Record<"before" | "after", GatewayState>;
  tell(`event ${event.type}: from ${before.health} (${before.reason}) to ${after.health} (${after.reason})`);
}

export const healthOf = async ({ partner, gateway }: Story): Promise<string> =>
  (await partner.getGateway({ gatewayId: gateway.id })).body.state.health;

export const act = ({ control, gateway: { virtualMachineId } }: Story, action: "stop" | "start"): Promise<unknown> =>
  control("POST /machines", { virtualMachineId, action });
