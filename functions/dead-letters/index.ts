/** Dead letters: operators see which messages could not be handled and why, and send them on or throw them away. */
import { endpoint } from "../../shared/api/endpoint.ts";
import { registerHttp } from "../../shared/api/register.ts";
import { discardDeadLetter, listDeadLetters, replayDeadLetter } from "./http.ts";
import type { DeadLettersWorld } from "./world.ts";

export function registerDeadLetters(world: DeadLettersWorld): void {
  registerHttp("listDeadLetters", endpoint("listDeadLetters", world, listDeadLetters(world)));
  registerHttp("replayDeadLetter", endpoint("replayDeadLetter", world, replayDeadLetter(world)));
  registerHttp("discardDeadLetter", endpoint("discardDeadLetter", world, discardDeadLetter(world)));
}
