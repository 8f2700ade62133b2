/** Durable waiting: costs nothing while it lasts and survives restarts. */
import type { OrchestrationContext, Routine } from "./routine.ts";

export function* wait(context: OrchestrationContext, seconds: number): Routine<void> {
  yield context.df.createTimer(later(context, seconds));
}

/**
 * Waits for an event, but no longer than `seconds`: gives whether it came. Once per execution and event name: same-named waits are
 * answered last first, so a loop around this continues as new.
 * @param seconds up to six days: a longer timer is made of short ones, and durable-functions goes on making them after a cancel
 */
export function* waitForEventOr(context: OrchestrationContext, event: string, seconds: number): Routine<boolean> {
  const timer = context.df.createTimer(later(context, seconds));
  const raised = context.df.waitForExternalEvent(event);
  const first = yield context.df.Task.any([raised, timer]);
  if (first !== raised) return false;
  timer.cancel(); // an orchestration with an open timer never completes
  return true;
}

/** Seconds since 1970 by the orchestration's own clock, which is the same in every replay. */
export const secondsNow = (context: OrchestrationContext): number => context.df.currentUtcDateTime.getTime() / 1000;

const later = (context: OrchestrationContext, seconds: number): Date =>
  new Date(context.df.currentUtcDateTime.getTime() + seconds * 1000);
