/** What dead letters need of the world: the API's part, and the queues' dead letters. */
import type { ApiWorld } from "../../shared/api/world.ts";
import type { DeadLetterReader } from "../../shared/messages/dead-letter-reader.ts";

export interface DeadLettersWorld extends ApiWorld {
  deadLetterReader: DeadLetterReader;
}
