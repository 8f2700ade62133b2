/** The activities by which a probe mail is sent through the gateway and looked for: whoever knows the surroundings provides them. */
import type { Loop } from "../desired/state.ts";
import type { Work } from "../durable/resources.ts";
import type { Failure } from "../durable/steps.ts";
import type { LoopEvidence } from "./loop.ts";

export interface LoopProbe {
  work: Work;
  step: string;
  loop: Loop;
}

/** `looped`: came back with this tenant's header, exactly once. `bypassed`: arrived without having met the gateway. */
export type ProbeFound = { found: "absent" | "bypassed" } | { found: "looped"; evidence: LoopEvidence };

export interface LoopActivities {
  sendProbe(probe: LoopProbe & { subject: string }): Promise<void>;
  checkProbe(probe: LoopProbe & { subject: string }): Promise<ProbeFound>;
  failProbe(probe: LoopProbe): Promise<Failure>;
}
