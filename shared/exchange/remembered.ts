/** What a batch has read is not asked for again: for hands that only look, since nothing that is written afterwards shows in it. */
import { ControlPlaneError } from "../errors.ts";
import { observing } from "../resources/observing.ts";
import type { AllRead, Read, ReadResults } from "./batch.ts";
import type { Exchange } from "./client.ts";
import type { CmdletParameters, CmdletResult, ReadCmdlet } from "./cmdlets.ts";

export interface Remembered {
  find<C extends ReadCmdlet>(organization: string, cmdlet: C, parameters: CmdletParameters[C]): AllRead<C> | undefined;
}

export function rememberedOf<Reads extends Record<string, Read>>(
  organization: string,
  reads: Reads,
  found: ReadResults<Reads>,
): Remembered {
  const known = new Map<string, unknown>(
    Object.entries(reads).map(([name, { cmdlet, parameters }]) => [keyOf(organization, cmdlet, parameters), found[name]]),
  );
  return {
    find: <C extends ReadCmdlet>(asked: string, cmdlet: C, parameters: CmdletParameters[C]) =>
      known.get(keyOf(asked, cmdlet, parameters)) as AllRead<C> | undefined,
  };
}

const keyOf = (organization: string, cmdlet: string, parameters: object): string =>
  JSON.stringify([organization, cmdlet, Object.entries(parameters).toSorted(([one], [other]) => one.localeCompare(other))]);

/** Reads that are remembered are answered from memory, also those that failed; all others are asked. */
export function remembering(exchange: Exchange, remembered: Remembered): Exchange {
  const list: Exchange["list"] = async (organization, cmdlet, parameters) => {
    const known = remembered.find(organization, cmdlet, parameters);
    if (known === undefined) return exchange.list(organization, cmdlet, parameters);
    if (known.state === "present") return known.actual;
    throw new ControlPlaneError(known.reason.code, known.reason.message, 503, true);
  };
  const get = async <C extends ReadCmdlet>(organization: string, cmdlet: C, parameters: CmdletParameters[C]) =>
    observing(async (): Promise<CmdletResult<C> | undefined> => (await list(organization, cmdlet, parameters))[0]);
  return { ...exchange, list, get };
}
