/** Starts an orchestration unless one with that id is under way or has ended; asking twice starts one. */
import type { DurableClient } from "durable-functions";
import type { Orchestrator } from "./routine.ts";

export async function startOnce<Input>(
  client: DurableClient,
  orchestrator: Orchestrator<Input, unknown>,
  instanceId: string,
  input: Input,
): Promise<void> {
  if (await exists(client, instanceId)) return;
  try {
    await client.startNew(orchestrator.name, { instanceId, input });
  } catch (error) {
    if (!(await exists(client, instanceId))) throw error; // somebody else started it between the two calls
  }
}

const exists = async (client: DurableClient, instanceId: string): Promise<boolean> =>
  (await statusOf(client, instanceId)) !== undefined;

/** Whether the host goes on with it: not once it has ended, however that was, and not when it was purged or never begun. */
export async function goesOn(client: DurableClient, instanceId: string): Promise<boolean> {
  const status = await statusOf(client, instanceId);
  return status !== undefined && !ENDED.has(status.runtimeStatus);
}

const ENDED = new Set<string>(["Completed", "Failed", "Terminated", "Canceled"]);

const statusOf = (client: DurableClient, instanceId: string) =>
  client.getStatus(instanceId).catch((error: unknown) => {
    if (error instanceof Error && error.message.includes("404")) return undefined; // durable-functions 3 throws for an unknown instance
    throw error;
  });
