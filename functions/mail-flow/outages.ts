/**
 * The policy that fails open, on a timer: whose gateways are all down, or well again, is read from packed rows; specs are read of those alone.
 * What it tries is written before it begins, so that whoever dies in between has tried once more and never twice as much.
 */
import { createHash } from "node:crypto";
import type { DurableClient } from "durable-functions";
import { isDown } from "../../shared/api/gateway.ts";
import type { BypassCause } from "../../shared/desired/bypass.ts";
import { auditedStart } from "../../shared/durable/audited-start.ts";
import { startOperation } from "../../shared/durable/tenant-operation.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { GatewayRecord } from "../../shared/stores/gateways.ts";
import { ended } from "../../shared/stores/operations.ts";
import type { Outage } from "../../shared/stores/outages.ts";
import type { TaskCheck } from "../../shared/stores/tasks.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { TimerCall } from "../../shared/triggers.ts";
import { bypassesOfDay, nextMove } from "./fail-open.ts";
import { bypassing, restoring } from "./redirections.ts";
import type { MailFlowDoors } from "./world.ts";

/** A look that takes longer than the schedule's interval is not overtaken. */
export function watchOutages(world: MailFlowDoors, client: DurableClient): (timer: TimerCall) => Promise<void> {
  let underway = false;
  return async () => {
    if (underway) return world.log.warning("the last look for outages goes on; this one is left out");
    underway = true;
    try {
      await look(world, client);
    } finally {
      underway = false;
    }
  };
}

async function look(world: MailFlowDoors, client: DurableClient): Promise<void> {
  const { stores } = world;
  const [gateways, outages] = await Promise.all([stores.gateways.all(), stores.outages.all()]);
  const known = new Map(outages.map((outage) => [keyOf(outage), outage]));
  const tenants = Map.groupBy(gateways, keyOf);
  for (const [key, members] of tenants) {
    const outage = known.get(key);
    // One that works, of several, carries all mail.
    if (outage === undefined && !members.every(({ state }) => isDown(state))) continue;
    await lookAt(world, client, members, outage).catch((error: unknown) => {
      // One that can't be dealt with must not keep the others.
      world.log.error("a tenant's outage could not be dealt with", { tenant: key, error });
    });
  }
  for (const [key, { partnerId, tenantId }] of known)
    if (!tenants.has(key)) await stores.outages.change(partnerId, tenantId, () => undefined);
}

const keyOf = ({ partnerId, tenantId }: { partnerId: string; tenantId: string }): string => `${partnerId} ${tenantId}`;

async function lookAt(
  world: MailFlowDoors,
  client: DurableClient,
  gateways: GatewayRecord[],
  found: Outage | undefined,
): Promise<void> {
  const { stores, clock } = world;
  const [{ partnerId, tenantId } = { partnerId: "", tenantId: "" }] = gateways;
  const tenant = await stores.tenants.find(partnerId, tenantId);
  if (tenant === undefined) return;
  const now = clock.now();
  const outage = await restoredByPerson(world, tenant, found ?? { partnerId, tenantId, bypasses: [] });
  if (await busyWithOurs(world, tenant, outage)) return;
  const move = nextMove(tenant, gateways, outage, now);
  if (move.to === "hold") return hold(world, tenant, outage, move.reason, now);
  if (move.to !== "nothing") return attempt(world, client, tenant, { to: move.to, reason: move.reason, outage, now });
  if (
    found !== undefined &&
    tenant.stage !== "bypassed" &&
    bypassesOfDay(outage.bypasses, now).length === 0 &&
    !triedToday(outage, now)
  )
    await stores.outages.change(partnerId, tenantId, () => undefined);
}

const DAY = 24 * 3600 * 1000;
const triedToday = ({ tried }: Outage, now: number): boolean => tried !== undefined && now - Date.parse(tried.at) < DAY;

/** What a person has led back counts anew: they have seen to it. */
async function restoredByPerson({ stores }: MailFlowDoors, { stage }: TenantRecord, outage: Outage): Promise<Outage> {
  if (outage.heldSince === undefined || stage === "bypassed") return outage;
  const { partnerId, tenantId } = outage;
  const anew: Outage = { partnerId, tenantId, bypasses: [] };
  await stores.outages.change(partnerId, tenantId, () => anew);
  await stores.tasks.end(taskKeyOf(outage), "done", "mail goes through the gateways again");
  return anew;
}

/** What it began itself is waited for. */
async function busyWithOurs(
  { stores }: MailFlowDoors,
  { partnerId, operationId }: TenantRecord,
  { tried }: Outage,
): Promise<boolean> {
  if (operationId === undefined || operationId !== tried?.operationId) return false;
  const running = await stores.operations.find(partnerId, operationId);
  return running !== undefined && !ended(running);
}

interface Attempt {
  to: "bypass" | "restore";
  reason: string;
  outage: Outage;
  now: number;
}

async function attempt(world: MailFlowDoors, client: DurableClient, tenant: TenantRecord, wanted: Attempt): Promise<void> {
  const { stores } = world;
  const { partnerId, id: tenantId } = tenant;
  const { to, reason, outage, now } = wanted;
  const at = new Date(now).toISOString();
  const about = createHash("sha256").update(`${partnerId}/${tenantId}`).digest("hex").slice(0, 16);
  const operationId = `outage-${to}-${now}-${about}`;
  await stores.outages.change(partnerId, tenantId, (known) => ({
    ...known,
    bypasses: [...bypassesOfDay(known.bypasses, now), ...(to === "bypass" ? [at] : [])],
    tried: { to, at, operationId },
  }));
  const cause: BypassCause = { by: "policy", reason };
  const operation = to === "bypass" ? bypassing(world, cause) : restoring(world, cause);
  try {
    await auditedStart(stores, { partnerId, tenantId, operationId }, to, async () => {
      await startOperation(stores, client, operation, { partnerId, tenantId, operationId, body: cause });
    });
  } catch (error) {
    if (!(error instanceof ControlPlaneError) || error.transient) throw error;
    await refused(world, wanted, { operationId, at, before: outage.tried?.refused, error });
  }
}

/** Said once for each reason; nothing has begun, so it counts for nothing. */
async function refused(
  { stores }: MailFlowDoors,
  { to, reason, outage: { partnerId, tenantId } }: Attempt,
  { operationId, at, before, error }: { operationId: string; at: string; before: string | undefined; error: ControlPlaneError },
): Promise<void> {
  const { code, message } = error;
  const why = `${to} ${code}`;
  await stores.outages.change(partnerId, tenantId, (known) => ({
    ...known,
    bypasses: known.bypasses.filter((one) => one !== at),
    tried: { to, at, operationId, refused: why },
  }));
  if (before === why) return;
  const data = { wanted: to, reason, code, message };
  await stores.events.add({
    partnerId,
    tenantId,
    id: operationId,
    type: "tenant.mailflow.policy.refused",
    subject: tenantId,
    at,
    data,
  });
}

/** It has flapped: mail stays where it surely arrives, and a person is asked. The mark comes last: who dies before it asks again. */
async function hold(
  { stores }: MailFlowDoors,
  { spec }: TenantRecord,
  { partnerId, tenantId, bypasses }: Outage,
  reason: string,
  now: number,
): Promise<void> {
  const last = bypasses.at(-1) ?? new Date(now).toISOString();
  await stores.tasks.open({
    ...taskKeyOf({ partnerId, tenantId }),
    title: `Lead the mail of ${spec.displayName} back to its gateways`,
    instructions: `Find out why the gateways go down and up (GET /api/gateways, GET /api/events), then POST /api/tenants/${tenantId}/restore.`,
    text: reason,
    fields: bypasses.map((at, index) => ({ label: `Led round them, ${index + 1}`, value: at })),
  });
  const data = { reason, bypasses };
  const id = `outage-held-${Date.parse(last)}-${tenantId}`;
  await stores.events.add({ partnerId, tenantId, id, type: "tenant.mailflow.policy.held", subject: tenantId, at: last, data });
  await stores.outages.change(partnerId, tenantId, (known) => ({ ...known, heldSince: new Date(now).toISOString() }));
}

const taskKeyOf = ({ partnerId, tenantId }: { partnerId: string; tenantId: string }) => ({
  partnerId,
  tenantId,
  kind: "restoreMail" as const,
  subject: "",
});

/** Done when the mail goes through the gateways again, whoever led it there. */
export const restoreMailCheck = ({ stores }: Pick<MailFlowDoors, "stores">): TaskCheck => ({
  async look({ partnerId, tenantId }) {
    const tenant = await stores.tenants.find(partnerId, tenantId);
    if (tenant?.stage === "bypassed") return { found: "missing", message: "mail still goes round the gateways" };
    return tenant?.stage === "pilot" || tenant?.stage === "live"
      ? { found: "done", message: "mail goes through the gateways again" }
      : { found: "needless", message: "nobody's mail is led anywhere for this tenant" };
  },
});
