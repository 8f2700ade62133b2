/** The operators' door to messages that could not be handled. */
import type { Handler } from "../../shared/api/endpoint.ts";
import { pageBody, parsePage } from "../../shared/api/pages.ts";
import { audienceOf } from "../../shared/api/scope.ts";
import { queueNames } from "../../shared/messages/service-bus.ts";
import type { DeadLettersWorld } from "./world.ts";

/** GET /api/dead-letters */
export const listDeadLetters =
  ({ deadLetterReader, signer }: DeadLettersWorld): Handler<"listDeadLetters"> =>
  async ({ caller, query, url }) => {
    const paging = { signer, url, audience: audienceOf(caller) };
    const { pageSize, after } = await parsePage(query, paging);
    const queues = query.queue === undefined ? queueNames : [query.queue];
    return { body: await pageBody(await deadLetterReader.list(queues, pageSize, after), (letter) => letter, paging) };
  };

/** POST /api/dead-letters/{deadLetterId}/replay: what was sent on is gone from here, so that a second time finds nothing and sends nothing. */
export const replayDeadLetter =
  ({ deadLetterReader }: DeadLettersWorld): Handler<"replayDeadLetter"> =>
  async ({ params: { deadLetterId } }) => ({ body: await deadLetterReader.replay(deadLetterId) });

/** POST /api/dead-letters/{deadLetterId}/discard: the audit log has the reason with the call. */
export const discardDeadLetter =
  ({ deadLetterReader }: DeadLettersWorld): Handler<"discardDeadLetter"> =>
  async ({ params: { deadLetterId } }) => ({ body: await deadLetterReader.discard(deadLetterId) });
