/**
 * A tenant's whole life, from the plan to where nothing is left of it, while a message a second goes out of and into the organisation:
 * none may be lost, none come twice, and none of those that have to may pass by the gateway.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { ApiClient } from "../../../shared/api/client.ts";
import type { TenantFile } from "../customer.ts";
import type { Screen } from "../progress.ts";
import { controlOf, secondsSince, untilIn } from "./control.ts";
import { breakDown, drift, leave, onboard, plan, promote, switchOnHighAvailability } from "./chapters.ts";
import type { Life, Window } from "./course.ts";
import { type Counts, startMail } from "./mail.ts";

export interface LifeOptions {
  partner: ApiClient;
  /** Address of the simulators' own door. */
  control: string;
  screen: Screen;
  data: string;
  /** Whose life it is; its spec is the API's to check. */
  file: TenantFile;
}

const PILOT = "pilot@contoso.example";
const COLLEAGUE = "colleague@contoso.example";
const CUSTOMER = "customer@outside.example";
/** After the last chapter, for what waits in a queue. */
const PATIENCE_IN_MILLISECONDS = 180_000;
const LOOK_EVERY_MILLISECONDS = 400;

/** Answers whether no mail came to harm. Throws when an operation ends otherwise than it should. */
export async function playLife({ partner, control: address, screen, data, file }: LifeOptions): Promise<boolean> {
  const control = controlOf(address);
  const { tenantId } = file;
  await refuseLivingTenant(partner, tenantId);
  const { microsoft365, azure } = file.spec as {
    microsoft365: { tenantId: string; domains: string[] };
    azure: { subscriptionId: string };
  };
  const organization = microsoft365.tenantId;
  await control("POST /organizations", { tenantId: organization, domains: microsoft365.domains, mailboxes: [PILOT, COLLEAGUE] });
  const began = Date.now();
  const mail = await startMail(control, [
    { from: PILOT, to: CUSTOMER },
    { from: CUSTOMER, to: PILOT },
    { from: COLLEAGUE, to: CUSTOMER },
    { from: CUSTOMER, to: COLLEAGUE },
  ]);
  const life: Life = {
    partner,
    control,
    screen,
    tenantId,
    organization,
    subscription: azure.subscriptionId,
    mail,
    until: untilIn(data),
    windows: [],
    stretches: [],
    chapter: (title) => screen.say(`\n${title}`),
    tell: (line) => screen.say(`${secondsSince(began)}  ${line}`),
  };
  screen.say(`A message a second from now on: ${PILOT} and ${COLLEAGUE} write to ${CUSTOMER}, and are written to.`);
  try {
    await plan(life, file);
    await onboard(life, address, file);
    await promote(life);
    await drift(life);
    await breakDown(life);
    await switchOnHighAvailability(life, file);
    await leave(life);
  } finally {
    await mail.stop();
  }
  return told(life, await settled(life));
}

async function refuseLivingTenant(partner: ApiClient, tenantId: string): Promise<void> {
  const { value } = (await partner.listTenants({})).body;
  const known = value.find(({ id }) => id === tenantId);
  if (known && known.stage !== "registered" && known.stage !== "gone")
    throw new Error(
      `${tenantId} is here already, in stage ${known.stage}: add --fresh, which forgets it, or play in a folder of its own with --data DIR`,
    );
}

/** Waits for what is still under way. */
async function settled({ mail, stretches }: Life): Promise<Counts> {
  const hadTo = ({ at, from, to }: { at: number; from: string; to: string }): boolean =>
    stretches.some(
      (stretch) =>
        at > stretch.from &&
        at < stretch.to &&
        (stretch.whose === "everybody" || [from, to].some((address) => address === PILOT)),
    );
  for (const end = Date.now() + PATIENCE_IN_MILLISECONDS; ; await pause(LOOK_EVERY_MILLISECONDS)) {
    const counts = await mail.count(hadTo);
    if (counts.lost.length === 0 || Date.now() > end) return counts;
  }
}

function told({ screen, windows }: Life, { sent, delivered, lost, twice, unprocessed, reports }: Counts): boolean {
  const examples = (messages: { from: string; to: string; at: number }[]): string[] =>
    messages.slice(0, 3).map(({ from, to, at }) => `    ${new Date(at).toISOString()} from ${from} to ${to}`);
  screen.say("\nMail");
  for (const line of [
    `  ${String(sent).padStart(5)} sent`,
    `  ${String(delivered).padStart(5)} delivered`,
    `  ${String(lost.length).padStart(5)} lost`,
    ...examples(lost),
    `  ${String(twice.length).padStart(5)} delivered twice`,
    ...examples(twice),
    `  ${String(unprocessed.length).padStart(5)} delivered unprocessed outside of these windows:`,
    ...examples(unprocessed),
    ...windows.map(lengthOf),
    `  ${String(reports.length).padStart(5)} non-delivery reports`,
    ...reports.slice(0, 3).map((report) => `    ${report}`),
  ])
    screen.say(line);
  return [lost, twice, unprocessed, reports].every(({ length: harmed }) => harmed === 0);
}

function lengthOf({ title, from, ended, to }: Window): string {
  const seconds = (since: number, until: number): string => `${((until - since) / 1000).toFixed(1)} s`;
  return `        ${seconds(from, ended).padStart(7)}  ${title}, and ${seconds(ended, to)} until every server of Exchange Online had the rules`;
}
