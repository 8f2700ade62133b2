/** Hands that only look, for ways that change rules and prove them by mail: of stages, round a gateway, and back. */
import type { ActualOf, DesiredOf } from "../durable/resources.ts";
import type { Resources } from "../resources/index.ts";
import { looksInto, type Sight } from "../runbook/looking.ts";
import type { Hands, Walk } from "../runbook/runbook.ts";
import { typical } from "./durations.ts";

export interface LookingWay extends Pick<Hands<Promise<unknown>>, "ensure" | "drop"> {
  confirm<Kind extends keyof Resources>(
    kind: Kind,
    step: string,
    wanted: DesiredOf<Resources[Kind]>,
  ): Walk<Promise<unknown>, unknown>;
  startTls(): Walk<Promise<unknown>, void>;
  prove(): Walk<Promise<unknown>, void>;
}

/** `otherwise`: why what is read back and differs keeps the operation from going on. */
export function lookingWay(resources: Resources, sight: Sight, otherwise: string): LookingWay {
  const look = looksInto(resources, sight);
  return {
    *ensure(kind, step, wanted) {
      return (yield look(kind, step, wanted)) as ActualOf<Resources[typeof kind]>;
    },
    *drop(kind, step, unwanted) {
      yield look(kind, step, unwanted, "drop");
    },
    *confirm(kind, step, wanted) {
      const found = yield look(kind, step, wanted);
      const last = sight.seen.at(-1);
      if (last && last.action !== "none" && last.action !== "unknown") {
        last.action = "blocked";
        last.reason ??= otherwise;
      }
      return found;
    },
    *startTls() {
      sight.seconds += typical.startTls;
    },
    /** What was changed before has to be known everywhere. */
    *prove() {
      const changed = sight.seen.some(({ action }) => action === "create" || action === "update" || action === "remove");
      sight.seconds += (changed ? typical.propagation : 0) + typical.probeMail;
    },
  };
}
