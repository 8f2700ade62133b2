/**
 * Answers of the broker to deliveries. rhea folds neighbours that are settled in one turn into the outcome of the first one, so unlike
 * outcomes go out in different turns (rhea 3.0.5, session.js, write_dispositions).
 */
import { Refusal } from "../refusal.ts";
import { accepted, type AmqpError, type Delivery, rejected, type Session } from "./rhea.ts";

export interface Outcomes {
  /** Accepts, or refuses for this reason. Every success is `accepted`, for the client takes any other outcome for a failure. */
  settle(delivery: Delivery, refusal?: AmqpError): void;
}

interface Line {
  waiting: { delivery: Delivery; refusal: AmqpError | undefined }[];
  writing: boolean;
}

export function createOutcomes(): Outcomes {
  const lines = new WeakMap<Session, Line>();

  function write(line: Line): void {
    const { waiting } = line;
    while (waiting[0] && !waiting[0].refusal) waiting.shift()?.delivery.update(true, accepted());
    line.writing = waiting.length > 0;
    if (!line.writing) return;
    setImmediate(() => {
      const refused = waiting.shift();
      if (refused?.refusal) refused.delivery.update(true, rejected(refused.refusal));
      setImmediate(() => write(line));
    });
  }

  return {
    settle(delivery, refusal) {
      const { session } = delivery.link;
      const line = lines.get(session) ?? { waiting: [], writing: false };
      lines.set(session, line);
      line.waiting.push({ delivery, refusal });
      if (!line.writing) write(line);
    },
  };
}

/** An error that is no refusal is a mistake in the broker: it is logged, and said. */
export function amqpErrorOf(error: unknown): AmqpError & { condition: Refusal["condition"] } {
  if (error instanceof Refusal) return { condition: error.condition, description: error.message };
  const description = error instanceof Error ? (error.stack ?? error.message) : String(error);
  process.stderr.write(`${description}\n`);
  return { condition: "amqp:internal-error", description };
}
