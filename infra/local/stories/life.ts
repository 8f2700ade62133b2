/**
 * A tenant's whole life, from the plan to where nothing is left of it, while a message a second goes out of and into the organisation:
 * none may be lost, none come twice, and none of those that have to may pass by the gateway.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { ApiClient } from "../../../shared/api/client.ts";
import type { Operation } from "../../../shared/api/operation.ts";
import type { Plan } from "../../../shared/api/plan.ts";
import { onboardFromFile, type TenantFile } from "../customer.ts";
import type { Screen } from "../progress.ts";
import { type Control, controlOf, secondsSince, type Until, untilIn } from "./control.ts";
import { type Counts, type MailStream, startMail } from "./mail.ts";

export interface LifeOptions {
  partner: ApiClient;
  /** Address of the simulators' own door. */
  control: string;
  screen: Screen;
  data: string;
  /** Whose life it is; its spec is the API's to check. */
  file: TenantFile;
}

/** From here on, until the end of another operation, a mailbox's mail has to go through the gateway. */
interface Stretch {
  from: number;
  to: number;
  whose: "pilot" | "everybody";
}

/** In which an announced operation moves the way of mail, and its rules reach Exchange Online's servers: a message takes either way. */
interface Window {
  title: string;
  from: number;
  /** When the operation was over. */
  ended: number;
  /** When every server had its rules. */
  to: number;
}

interface Life {
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

const PILOT = "pilot@contoso.example";
const COLLEAGUE = "colleague@contoso.example";
const CUSTOMER = "customer@outside.example";
/** After the last chapter, for what waits in a queue. */
const PATIENCE_IN_MILLISECONDS = 180_000;

/** Answers whether no mail came to harm. Throws when an operation ends otherwise than it should. */
export async function playLife({ partner, control: address, screen, data, file }: LifeOptions): Promise<boolean> {
  const control = controlOf(address);
  const { tenantId } = file;
  await refuseLivingTenant(partner, tenantId);
  const { microsoft365, azure } = file.spec as {
    microsoft365: { tenantId: string; domains: string[]; probeMailbox: string };
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

async function plan({ partner, tenantId, chapter, tell }: Life, { spec }: TenantFile): Promise<void> {
  chapter("Plan: what an onboarding would do, found out by reading only");
  await partner.putTenant({ tenantId, body: spec as unknown as Parameters<ApiClient["putTenant"]>[0]["body"] });
  const { resources, checks } = (await partner.planOnboarding({ tenantId })).body;
  tell(`${actionsOf(resources)}; ${checks.filter(({ status }) => status === "fail").length} checks fail`);
}

function actionsOf(resources: Plan["resources"]): string {
  const counts = Map.groupBy(resources, ({ action }) => action);
  return [...counts]
    .map(([action, those]) => `${those.length} ${action === "unknown" ? "unknown before consent" : action}`)
    .join(", ");
}

async function onboard(life: Life, control: string, file: TenantFile): Promise<void> {
  const { partner, chapter } = life;
  chapter("Onboarding, up to the pilot");
  const operation = await onboardFromFile({ partner, control, file, ask: false, screen: inBrief(life) });
  ended(life, operation);
  await moved(life, operation, "from nobody to the pilot", "pilot");
}

async function promote(life: Life): Promise<void> {
  const { partner, tenantId, chapter } = life;
  chapter("Promotion: from the pilot to everybody");
  const operation = await followed(life, (await partner.startPromotion({ tenantId })).body);
  await moved(life, operation, "from the pilot to everybody", "everybody");
}

/** The way stays through a gateway at every moment: no window. */
async function switchOnHighAvailability(life: Life, { spec }: TenantFile): Promise<void> {
  const { partner, tenantId, chapter, tell } = life;
  chapter("High availability: a second machine and a load balancer, for a tenant whose mail runs");
  const { gateway } = spec as { gateway: { regions: { name: string }[] } };
  const regions = gateway.regions.map((region) => ({ ...region, machines: 2 }));
  const changed = { ...spec, gateway: { ...gateway, regions } };
  await partner.putTenant({ tenantId, body: changed as unknown as Parameters<ApiClient["putTenant"]>[0]["body"] });
  const { resources } = (await partner.planOnboarding({ tenantId })).body;
  tell(`the plan: ${actionsOf(resources)}`);
  await followed(life, (await partner.startOnboarding({ tenantId })).body, inBrief(life));
}

async function leave(life: Life): Promise<void> {
  const { partner, tenantId, chapter, tell } = life;
  chapter("Offboarding");
  closeStretch(life);
  const operation = await followed(life, (await partner.startOffboarding({ tenantId, body: { confirm: tenantId } })).body);
  await window(life, operation, "back to the way without a gateway");
  const residue = await residueOf(life);
  if (residue.length > 0) throw new Error(`still there after the offboarding: ${residue.join(", ")}`);
  tell("looked for in the clouds themselves: nothing of it is left in Azure, Exchange Online and Entra");
}

/** Not what the operation says, but what the clouds hold. */
async function residueOf(life: Life): Promise<string[]> {
  const { control, organization, subscription } = life;
  const arm = await control<{ resourceGroups: { id: string }[]; resources: { id: string }[] }>("GET /state/arm");
  const { organizations } = await exchangeOf(life);
  const directories = await control<{ tenantId: string; applications: { displayName: string }[] }[]>("GET /state/graph");
  const exchange = organizations.filter(({ tenantId }) => tenantId === organization);
  return [
    ...[...arm.resourceGroups, ...arm.resources].map(({ id }) => id).filter((id) => id.toLowerCase().includes(subscription)),
    ...exchange.flatMap(({ inboundConnectors, outboundConnectors, transportRules, allowed }) => [
      ...[...inboundConnectors, ...outboundConnectors, ...transportRules].map(({ name }) => name),
      ...allowed.map((one) => `${one} in the connection filter`),
    ]),
    ...directories
      .filter(({ tenantId }) => tenantId === organization)
      .flatMap(({ applications }) => applications.map(({ displayName }) => `application ${displayName}`)),
  ];
}

const LOOK_EVERY_MILLISECONDS = 400;

/** Shows an operation to its end. */
async function followed(life: Life, begun: Operation, screen: Screen = life.screen): Promise<Operation> {
  let operation = begun;
  while (operation.status === "NotStarted" || operation.status === "Running") {
    screen.show(operation);
    await pause(LOOK_EVERY_MILLISECONDS);
    operation = (await life.partner.getOperation({ operationId: operation.id })).body;
  }
  screen.finish(operation);
  return ended(life, operation);
}

function ended({ tell, mail }: Life, operation: Operation): Operation {
  const { kind, status, error, steps, createdAt, lastUpdatedAt } = operation;
  if (status !== "Succeeded") throw new Error(`the ${kind} ended as ${status}: ${error?.code} ${error?.message}`);
  const changes = Map.groupBy(steps, ({ change }) => change ?? "looked at or waited for");
  const counts = [...changes].map(([change, those]) => `${those.length} ${change}`).join(", ");
  const seconds = Math.round((Date.parse(lastUpdatedAt) - Date.parse(createdAt)) / 1000);
  tell(`${kind} succeeded in ${seconds} s: ${counts}; ${mail.sent()} messages were sent so far`);
  return operation;
}

/** Only what it waits for. */
function inBrief({ tell }: Pick<Life, "tell">): Screen {
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

async function window(life: Life, { createdAt, lastUpdatedAt }: Operation, title: string): Promise<Window> {
  const [from, ended] = [Date.parse(createdAt), Date.parse(lastUpdatedAt)];
  const propagated = await life.until("Exchange Online's servers to have the rules", async () => {
    const { organizations } = await exchangeOf(life);
    return organizations.some(({ tenantId, rulesPropagated }) => tenantId === life.organization && rulesPropagated)
      ? Date.now()
      : undefined;
  });
  const made = { title, from, ended, to: Math.max(ended, propagated) };
  life.windows.push(made);
  return made;
}

interface ExchangeState {
  organizations: ({ tenantId: string; allowed: string[]; rulesPropagated: boolean } & Record<
    "inboundConnectors" | "outboundConnectors" | "transportRules",
    { name: string }[]
  >)[];
}

const exchangeOf = ({ control }: Life): Promise<ExchangeState> => control<ExchangeState>("GET /state/exchange");

/** From then on mail takes the new way. */
async function moved(life: Life, operation: Operation, title: string, whose: Stretch["whose"]): Promise<void> {
  closeStretch(life, Date.parse(operation.createdAt));
  const { to } = await window(life, operation, title);
  life.stretches.push({ from: to, to: Number.POSITIVE_INFINITY, whose });
}

function closeStretch({ stretches }: Life, at: number = Date.now()): void {
  const last = stretches.at(-1);
  if (last) last.to = Math.min(last.to, at);
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
  const seconds = (from: number, to: number): string => `${((to - from) / 1000).toFixed(1)} s`;
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
    ...windows.map(
      ({ title, from, ended: over, to }) =>
        `        ${seconds(from, over).padStart(7)}  ${title}, and ${seconds(over, to)} until every server of Exchange Online had the rules`,
    ),
    `  ${String(reports.length).padStart(5)} non-delivery reports`,
    ...reports.slice(0, 3).map((report) => `    ${report}`),
  ])
    screen.say(line);
  return [lost, twice, unprocessed, reports].every(({ length: harmed }) => harmed === 0);
}
