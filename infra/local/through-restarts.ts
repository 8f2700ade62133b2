/** Calls that outlast a restart of the app or a cloud: what didn't get through is sent again. */
import { setTimeout as pause } from "node:timers/promises";
import { type ApiClient, ApiError } from "../../shared/api/client.ts";

const PATIENCE_IN_MILLISECONDS = 120_000;
const AGAIN_AFTER_MILLISECONDS = 250;

/** Repeats a call that may be repeated until the other side answers, whatever the answer is, unless it is to come later. */
export async function untilAnswered<Answer>(call: () => Promise<Answer>): Promise<Answer> {
  const until = Date.now() + PATIENCE_IN_MILLISECONDS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!(connectionLost(error) || askedToComeLater(error)) || Date.now() > until) throw error;
      await pause(AGAIN_AFTER_MILLISECONDS);
    }
  }
}

/** The API's client with every call repeated; a POST needs an Operation-Id for that. */
export const throughRestarts = (client: ApiClient): ApiClient =>
  Object.fromEntries(
    Object.entries(client).map(([name, call]) => [
      name,
      (...given: Parameters<typeof call>) => untilAnswered(() => (call as (...all: unknown[]) => Promise<unknown>)(...given)),
    ]),
  ) as unknown as ApiClient;

/** The app is there, and something that it needs for its answer isn't: Entra's keys, while the clouds start again. */
const askedToComeLater = (error: unknown): boolean => error instanceof ApiError && error.status === 503;

/** What fetch says when there was no connection, or none any more. */
export const connectionLost = (error: unknown): boolean =>
  error instanceof TypeError && ["fetch failed", "terminated"].includes(error.message);
