/** The door of queue `rotation`: a repeated message finds its rotation under way, or done, and changes nothing. */
import type { DurableClient } from "durable-functions";
import { auditedStart } from "../../shared/durable/audited-start.ts";
import { begin, claimTenant, refuseWhileUnderWay } from "../../shared/durable/tenant-operation.ts";
import { ControlPlaneError, detailOf } from "../../shared/errors.ts";
import { type Due, parseDue } from "../../shared/messages/near-expiry.ts";
import { type CredentialRecord, generationToMake, isClientSecret } from "../../shared/stores/credentials.ts";
import type { OperationRecord } from "../../shared/stores/operations.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { MessageHandler } from "../../shared/triggers.ts";
import { certificateDue } from "./certificate-due.ts";
import { rotationOf, type RotationRequest } from "./rotations.ts";
import { nextTry } from "./tries.ts";
import type { RotationWorld } from "./world.ts";

export const acceptNearExpiry =
  (world: RotationWorld, client: DurableClient): MessageHandler =>
  async (message) => {
    for (const due of parseDue(message)) {
      if (due.kind === "asked") {
        await startAsked(world, client, due);
        continue;
      }
      const credential = await dueCredential(world, due);
      if (credential && (await isToRotate(world, credential, due))) await startRotation(world, client, credential);
    }
  };

/** Whoever asked has been answered with the operation: it begins once, however often the message comes. */
async function startAsked(
  world: RotationWorld,
  client: DurableClient,
  { partnerId, operationId }: { partnerId: string; operationId: string },
): Promise<void> {
  const { tenants, operations } = world.stores;
  const operation = await operations.find(partnerId, operationId);
  if (operation?.status !== "NotStarted") return;
  const tenant = await tenants.get(partnerId, operation.tenantId);
  await claimAndBegin(world, client, tenant, operation);
}

/** What rules are made of is written by one operation at a time: one that comes second ends here, and is asked for again. */
async function claimAndBegin(
  world: RotationWorld,
  client: DurableClient,
  tenant: TenantRecord,
  operation: OperationRecord,
): Promise<void> {
  const { tenants, operations } = world.stores;
  const wanted = rotationOf(world, operation.request as RotationRequest);
  if (wanted.kind === "rotation") return begin(client, wanted, tenant, operation);
  try {
    if (tenant.operationId !== operation.id) await refuseWhileUnderWay(world.stores, tenant);
    const claimed = await claimTenant(tenants, operation, tenant);
    return await begin(client, wanted, claimed, operation);
  } catch (error) {
    if (!(error instanceof ControlPlaneError) || error.code !== "OperationInProgress") throw error;
    await operations.recordProgress(operation.partnerId, operation.id, { status: "Failed", error: detailOf(error) });
  }
}

/** Our own sweep has looked; an event of the certificate may be of one that it would not take. */
const isToRotate = async (world: RotationWorld, credential: CredentialRecord, due: Due): Promise<boolean> =>
  due.kind !== "secret" ||
  credential.name !== "smtpCertificate" ||
  credential.previous !== undefined ||
  certificateDue(world, credential, !due.added);

/** Acts only on what is still current: an event may be late, repeated or out of order. */
async function dueCredential(world: RotationWorld, due: Exclude<Due, { kind: "asked" }>): Promise<CredentialRecord | undefined> {
  const { credentials } = world.stores;
  if (due.kind === "credential") {
    const { partnerId, tenantId, name, generation } = due;
    const known = await credentials.find({ partnerId, tenantId, name });
    return known?.generation === generation ? known : undefined;
  }
  const known = await credentials.findBySecret(vaultUrlIn(world, due.vaultUrl), due.secretName);
  return (known?.current?.reference.version === due.version) === !due.added ? known : undefined;
}

/** Events name a vault by its own host, such as `contoso.vault.azure.net`; references name it as this cloud environment reaches it. */
function vaultUrlIn({ environment, vaults }: RotationWorld, named: string): string {
  const { hostname } = new URL(named);
  const suffix = `.${new URL(environment.vault.audience).hostname}`;
  return hostname.endsWith(suffix) ? vaults.urlOf(hostname.slice(0, -suffix.length)) : named;
}

/** The operation's id follows from credential, generation and try: a second start finds the first. */
async function startRotation(world: RotationWorld, client: DurableClient, credential: CredentialRecord): Promise<void> {
  const { partnerId, tenantId, name } = credential;
  if (credential.rotation) return;
  const { tenants, operations } = world.stores;
  const tenant = await tenants.get(partnerId, tenantId);
  if (tenant.facts["ground"] === undefined) return; // nothing was built yet
  const generation = generationToMake(credential);
  const next = await nextTry(operations, credential, generation, world.clock.now());
  if ("until" in next) {
    const until = new Date(next.until).toISOString();
    return world.log.information("a rotation that has failed is not tried again yet", { partnerId, tenantId, name, until });
  }
  const { id } = next;
  const finish = credential.previous !== undefined;
  const request: RotationRequest = { name, generation, ...(finish && !isClientSecret(name) && { finish }) };
  const wanted = rotationOf(world, request);
  await auditedStart(world.stores, { partnerId, tenantId, operationId: id }, wanted.kind, async () => {
    const { operation } = await operations.create({
      partnerId,
      tenantId,
      id,
      kind: wanted.kind,
      requestHash: `${name} ${generation}`,
      request,
      steps: wanted.stepsOf(tenant),
    });
    if (operation.status === "NotStarted" || wanted.kind === "rotation") await claimAndBegin(world, client, tenant, operation);
  });
}
