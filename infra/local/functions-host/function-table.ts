/** Finds an app's durable functions by the name that orchestrators and clients call them by, which ignores case. */

import type { FunctionApp, RegisteredFunction } from "./functions-core.ts";

export interface FunctionTable {
  orchestrator(name: string): RegisteredFunction | undefined;
  activity(name: string): RegisteredFunction | undefined;
  entity(name: string): RegisteredFunction | undefined;
}

export function createFunctionTable({ functions }: FunctionApp): FunctionTable {
  const find = (triggerType: string, nameOption: string) => {
    const byName = new Map<string, RegisteredFunction>();
    for (const each of functions.values()) {
      if (each.trigger.type.toLowerCase() !== triggerType) continue;
      const alias = each.trigger[nameOption];
      byName.set((typeof alias === "string" ? alias : each.name).toLowerCase(), each);
    }
    return (name: string) => byName.get(name.toLowerCase());
  };
  return {
    orchestrator: find("orchestrationtrigger", "orchestration"),
    activity: find("activitytrigger", "activity"),
    entity: find("entitytrigger", "entityName"),
  };
}
