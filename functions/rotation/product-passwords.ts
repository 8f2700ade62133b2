/**
 * Passwords that only a person can change, because the manual names no place where the product keeps them, or because the user is
 * somebody's own: a task with all that is known, once they are as old as the spec lets them be. The task says where, never what.
 */
import { automatedSetUp } from "../../shared/desired/iq-suite.ts";
import type { NewTask, TaskCheck } from "../../shared/stores/tasks.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";
import type { RotationWorld } from "./world.ts";

type World = Pick<RotationWorld, "stores" | "vaults" | "clock">;

type ByHand = Pick<NewTask, "subject" | "title" | "instructions" | "fields"> & {
  /** In the tenant's vault, where its owner puts each new one: the age of the newest is seen, and nobody has to be believed. */
  secret?: string;
};

const KIND = "changePassword";
const DAY_IN_MILLISECONDS = 24 * 3600 * 1000;
const SAY_SO = "Then say here that it is done: nobody else can see it.";

/** Manual, chapters 3.4 and 5.4. */
function passwordsByHand({ gateway, database }: TenantSpec): ByHand[] {
  const { ldifGenerator } = gateway.iqSuite ?? {};
  const remoting: ByHand = {
    subject: "remoting",
    title: "Change the global password of iQ.Suite Remoting",
    instructions: `The image's set-up made one and wrote it down. The machines share it: choose a maintenance window, change it on all of them within ten minutes as iQ.Suite's administration manual says, and keep it where your other passwords are. ${SAY_SO}`,
    fields: [],
  };
  const sqlUser: ByHand = {
    subject: "sqlUser",
    title: "Change the password of iQ.Suite's own SQL user",
    instructions: `The image's set-up made one and wrote it down. Make a second login with the same rights in the SQL Server of each machine (CREATE LOGIN), give it to iQ.Suite as its administration manual says, see on one machine after another that iQ.Suite works with it, and only then disable the first one (ALTER LOGIN ... DISABLE). ${SAY_SO}`,
    fields: [],
  };
  return [
    ...(automatedSetUp(gateway) ? [remoting, ...(database === undefined || database.kind === "local" ? [sqlUser] : [])] : []),
    ...(ldifGenerator === undefined
      ? []
      : [
          {
            subject: "synchronizationUser",
            title: "Change the password of the synchronisation user",
            instructions:
              "Set another password for the user below in the Entra admin centre, sign in once with it, put it into the tenant's vault as a new version of the secret below, and start an onboarding (POST .../onboard), which gives it to the gateways and nothing else. Until then no directory is fetched. It is done when the vault has a newer version.",
            fields: [
              { label: "User", value: ldifGenerator.synchronizationUser.user },
              { label: "Secret in the vault", value: ldifGenerator.synchronizationUser.password },
            ],
            secret: ldifGenerator.synchronizationUser.password,
          },
        ]),
  ];
}

/** Opens the tasks that are due, each once; gives how many are. */
export async function passwordsRemembered(world: World, tenant: TenantRecord, vaultUrl: string): Promise<number> {
  const { clock, stores } = world;
  const { partnerId, id: tenantId, spec } = tenant;
  const reminder = spec.gateway.iqSuite?.passwordReminder;
  if (reminder === undefined) return 0;
  let due = 0;
  for (const byHand of passwordsByHand(spec)) {
    const { secret, ...wanted } = byHand;
    const changedAt = await changedAtOf(world, tenant, vaultUrl, byHand);
    if (changedAt !== undefined && clock.now() < changedAt + reminder.everyInDays * DAY_IN_MILLISECONDS) continue;
    due += 1;
    const about = secret === undefined ? {} : { vaultUrl, secret };
    await stores.tasks.open({ partnerId, tenantId, kind: KIND, ...wanted, about });
  }
  return due;
}

/** In milliseconds since 1970; undefined where nobody ever said so, as with those that an image's set-up has made. */
async function changedAtOf(
  { stores, vaults }: World,
  { partnerId, id: tenantId, spec }: TenantRecord,
  vaultUrl: string,
  { subject, secret }: ByHand,
): Promise<number | undefined> {
  if (secret !== undefined) return newestAt(await vaults.versions(vaultUrl, secret, spec.azure.tenantId));
  const { items } = await stores.tasks.list(partnerId, { tenantId, kind: KIND, state: "done" }, 100);
  const done = items.filter((task) => task.subject === subject).map(({ endedAt = "" }) => Date.parse(endedAt));
  return done.length === 0 ? undefined : Math.max(...done);
}

const newestAt = (versions: { createdOn: Date | undefined }[]): number | undefined =>
  versions.length === 0 ? undefined : Math.max(...versions.map(({ createdOn }) => createdOn?.getTime() ?? 0));

/** What the vault shows needs nobody's word; of the rest only the person can tell. */
export const changePasswordCheck = ({ stores, vaults }: Omit<World, "clock">): TaskCheck => ({
  accept: async ({ partnerId, tenantId, kind, subject, about }, by) => {
    if (about["secret"] !== undefined) return;
    const whose = by === "Partner" ? "the partner" : "an operator";
    await stores.tasks.end({ partnerId, tenantId, kind, subject }, "done", `${whose} has changed it`);
  },
  look: async ({ partnerId, tenantId, subject, createdAt, about: { vaultUrl, secret } }) => {
    const tenant = await stores.tenants.find(partnerId, tenantId);
    const wanted = tenant?.spec.gateway.iqSuite?.passwordReminder && passwordsByHand(tenant.spec);
    if (!tenant || !wanted?.some((one) => one.subject === subject))
      return { found: "needless", message: "the tenant's spec asks for no such reminder any more" };
    if (typeof vaultUrl !== "string" || typeof secret !== "string")
      return { found: "missing", message: "nobody has said yet that it was changed" };
    const newest = newestAt(await vaults.versions(vaultUrl, secret, tenant.spec.azure.tenantId));
    return newest !== undefined && newest > Date.parse(createdAt)
      ? { found: "done", message: `the vault has a newer version of ${secret}` }
      : { found: "missing", message: `the vault has no newer version of ${secret}` };
  },
});
