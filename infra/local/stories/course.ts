/** How a life goes on: its operations are followed to their ends, and it is kept whose mail has to go through the gateway since when. */
import { setTimeout as pause } from "node:timers/promises";
import type { ApiClient } from "../../../shared/api/client.ts";
import type { Operation } from "../../../shared/api/operation.ts";
import type { Screen } from "../progress.ts";
import type { Control, Until } from "./control.ts";
import type { MailStream } from "./mail.ts";

/** Meanwhile this mail has to go through the gateway. */
interface Stretch {
  from: number;
  to: number;
  whose: "pilot" | "everybody";
}

/** In which an announced operation moves the way of mail, and its rules reach Exchange Online's servers: a message takes either way. */
export interface Window {
  title: string;
  from: number;
  /** When the operation was over. */
  ended: number;
  /** When every server had its rules. */
  to: number;
}

export interface Life {
  partner: ApiClient;
  control: Control;
  screen: Screen;
  tenantId: string;
  organization: string;
  subscription: string;
  mail: MailStream;
  until: Until;
  windows: Window[];
  stretches: Stretch[];
  chapter(title: string): void;
  tell(line: string): void;
}

const LOOK_EVERY_MILLISECONDS = 400;

/** Shows an operation to its end. */
export async function followed(life: Life, begun: Operation, screen: Screen = life.screen): Promise<Operation> {
  let operation = begun;
  while (operation.status === "NotStarted" || operation.status === "Running") {
    screen.show(operation);
    await pause(LOOK_EVERY_MILLISECONDS);
    operation = (await life.partner.getOperation({ operationId: operation.id })).body;
  }
  screen.finish(operation);
  return ended(life, operation);
}

/** @throws Error unless it succeeded */
export function ended({ tell, mail }: Life, operation: Operation): Operation {
  const { kind, status, error, steps, createdAt, lastUpdatedAt } = operation;
  if (status !== "Succeeded") throw new Error(`the ${kind} ended as ${status}: ${error?.code} ${error?.message}`);
  const changes = Map.groupBy(steps, ({ change }) => change ?? "looked at or waited for");
  const counts = [...changes].map(([change, those]) => `${those.length} ${change}`).join(", ");
  const seconds = Math.round((Date.parse(lastUpdatedAt) - Date.parse(createdAt)) / 1000);
  tell(`${kind} succeeded in ${seconds} s: ${counts}; ${mail.sent()} messages were sent so far`);
  return operation;
}

/** Only what it waits for. */
export function inBrief({ tell }: Pick<Life, "tell">): Screen {
  let waiting: string | undefined;
  return {
    say: (line = "") => tell(line.replace(/^\s*…\s*/u, "")),
    show: ({ waitingFor }) => {
      if (waitingFor && waitingFor.message !== waiting) tell(`waits: ${waitingFor.message}`);
      waiting = waitingFor?.message;
    },
    finish: () => undefined,
  };
}

export interface ExchangeState {
  organizations: ({ tenantId: string; allowed: string[]; rulesPropagated: boolean } & Record<
    "inboundConnectors" | "outboundConnectors" | "transportRules",
    ({ name: string } & Record<string, unknown>)[]
  >)[];
}

/** What the customer's Exchange Online holds. */
export async function exchangeOf({ control, organization }: Life): Promise<ExchangeState["organizations"][number]> {
  const { organizations } = await control<ExchangeState>("GET /state/exchange");
  const found = organizations.find(({ tenantId }) => tenantId === organization);
  if (!found) throw new Error(`there is no organisation ${organization}`);
  return found;
}

/** From the first operation's beginning until the last one has ended and its rules are everywhere. */
export async function window(life: Life, title: string, first: Operation, last: Operation = first): Promise<Window> {
  const [from, over] = [Date.parse(first.createdAt), Date.parse(last.lastUpdatedAt)];
  const propagated = await life.until("Exchange Online's servers to have the rules", async () =>
    (await exchangeOf(life)).rulesPropagated ? Date.now() : undefined,
  );
  const made = { title, from, ended: over, to: Math.max(over, propagated) };
  life.windows.push(made);
  return made;
}

/** From the end of that window on mail takes the new way. */
export async function moved(
  life: Life,
  title: string,
  whose: Stretch["whose"],
  first: Operation,
  last: Operation = first,
): Promise<void> {
  closeStretch(life, Date.parse(first.createdAt));
  const { to } = await window(life, title, first, last);
  life.stretches.push({ from: to, to: Number.POSITIVE_INFINITY, whose });
}

export function closeStretch({ stretches }: Life, at: number): void {
  const last = stretches.at(-1);
  if (last) last.to = Math.min(last.to, at);
}
