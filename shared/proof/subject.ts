/** What a probe mail is found by. A further attempt's are its own: what an earlier one's mail has proven may no longer be so. */
import type { Work } from "../durable/resources.ts";

export const probeSubject = ({ operationId, attempt = 1 }: Work, step: string, round: number): string =>
  `Gatehouse probe ${operationId}${attempt === 1 ? "" : ` (${attempt})`} ${step} ${round}`;
