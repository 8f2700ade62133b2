/** A simulated Windows for tests: runs documents through the encoding that Run Command would carry, and remembers what they did. */
import { readScript, runEngine, type ScriptResult } from "../../infra/local/clouds/guest/engine.ts";
import { freshGuest, type GuestState } from "../../infra/local/clouds/guest/state.ts";
import { GUEST_SCHEMA, type GuestDocument } from "../../shared/guest/document.ts";
import { encodeDocument } from "../../shared/guest/encoding.ts";
import { type EngineOutput, engineScript, type GuestMode, parseEngineOutput } from "../../shared/guest/engine.ts";

const IDENTITY = "90a7e000-0000-4000-8000-0000000000d1";
export const NOW = Date.UTC(2026, 10, 22, 8);

export const document = (sections: Partial<GuestDocument> = {}): GuestDocument => ({
  schema: GUEST_SCHEMA,
  generation: 1,
  ...sections,
});

export interface Machine {
  state(): GuestState;
  run(mode: GuestMode, document: GuestDocument | string, page?: number): Promise<EngineOutput & { exitCode: number }>;
}

export function createMachine(before: Partial<GuestState> = {}, secrets: Record<string, string> = {}): Machine {
  const fresh = freshGuest({ virtualMachineId: "/vm", computerName: "gw1", smtpServerFeature: true });
  let state: GuestState = {
    ...fresh,
    ...before,
    accounts: { ...fresh.accounts, ...before.accounts },
    services: before.services === undefined ? fresh.services : { ...before.services },
  };
  const readSecret = async ({ name }: { name: string }): Promise<string> => {
    const value = secrets[name];
    if (value === undefined) throw new Error(`reading the secret ${name}: the answer was 404`);
    return value;
  };
  return {
    state: () => state,
    run: async (mode, given, page = 1) => {
      const engine = readScript(engineScript, [
        { name: "Document", value: typeof given === "string" ? given : encodeDocument(given) },
        { name: "Mode", value: mode },
        { name: "IdentityClientId", value: IDENTITY },
        { name: "Page", value: String(page) },
      ]);
      if ("error" in engine) throw new Error(engine.error);
      const result: ScriptResult = await runEngine(state, engine, { readSecret, now: NOW });
      state = result.guest ?? state;
      const output = parseEngineOutput(result.output);
      if (output === undefined) throw new Error(`the engine printed ${result.output}`);
      return { ...output, exitCode: result.exitCode };
    },
  };
}
