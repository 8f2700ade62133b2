/** A rotation that somebody asks for: the operation is there at once, and begins by the queue, as those do that a sweep finds due. */
import { createHash, randomUUID } from "node:crypto";
import { refusal } from "../../shared/api/error-codes.ts";
import { accepted, endpoint } from "../../shared/api/endpoint.ts";
import type { RotationAsked } from "../../shared/messages/near-expiry.ts";
import { refuseWhileUnderWay } from "../../shared/durable/tenant-operation.ts";
import { type CredentialRecord, isClientSecret } from "../../shared/stores/credentials.ts";
import type { OperationRecord } from "../../shared/stores/operations.ts";
import type { TaskCheck, TaskKey } from "../../shared/stores/tasks.ts";
import type { CredentialName } from "../../shared/vault/credential-names.ts";
import { credentialsOf, firstOf } from "./own-credentials.ts";
import { rotationOf, type RotationRequest } from "./rotations.ts";
import type { RotationWorld } from "./world.ts";

/** POST /api/tenants/{tenantId}/credentials/{name}/rotate */
export const rotateCredential = (world: RotationWorld) =>
  endpoint("rotateCredential", world, async ({ caller: { partnerId }, params: { tenantId, name }, headers, body }) => {
    const { emergency = false, back = false, certificateName, plan } = body ?? {};
    if (certificateName !== undefined) refuseUnlessAlone(name, { emergency, back });
    const credential = await credentialOf(world, partnerId, tenantId, name);
    const id = headers["operation-id"] ?? randomUUID();
    const operation = await asked(world, credential, { id, emergency, back, certificateName, plan });
    if (operation.status === "NotStarted") {
      if (emergency) await openTask(world, credential, operation.id);
      const message: RotationAsked = { kind: "rotationAsked", partnerId, operationId: operation.id };
      // An operation's id is unique within its partner only.
      const about = createHash("sha256").update(`${partnerId}/${operation.id}`).digest("hex").slice(0, 32);
      await world.sender.send("rotation", { messageId: `asked-${about}`, body: message });
      await world.stores.operations.show(partnerId, operation.id);
    }
    const { body: answer, ...rest } = accepted(world, operation);
    return { ...rest, body: { ...answer, ...(emergency ? { risk: riskOf[credential.name] } : {}) } };
  });

/** Another name is a walk of its own. */
function refuseUnlessAlone(name: string, { emergency, back }: { emergency: boolean; back: boolean }): void {
  const target = "certificateName";
  if (name !== "smtpCertificate") throw refusal("InvalidRequest", `${name} has no name that connectors know it by`, { target });
  if (back) throw refusal("InvalidRequest", "the way back is to the name before: say back, without a name", { target });
  if (emergency)
    throw refusal("InvalidRequest", "a certificate that is compromised is replaced first, and given another name afterwards", {
      target,
    });
}

async function credentialOf(
  { stores }: Pick<RotationWorld, "stores">,
  partnerId: string,
  tenantId: string,
  name: string,
): Promise<CredentialRecord> {
  const tenant = await stores.tenants.get(partnerId, tenantId);
  const known = await credentialsOf(stores, tenant);
  const found = known.find((one) => one.name === name);
  if (!found) {
    const has = known.map((one) => one.name).join(", ") || "none yet";
    throw refusal("CredentialNotFound", `tenant ${tenantId} has no credential ${name}; it has ${has}`);
  }
  const first = firstOf(tenant).find((one) => one.name === name);
  if (first) await stores.credentials.add(first);
  return found;
}

interface Asked {
  id: string;
  emergency: boolean;
  back: boolean;
  certificateName?: string | undefined;
  plan?: string | undefined;
}

/** The operation; what must not begin is refused, unless it is there already. */
async function asked(
  world: RotationWorld,
  { partnerId, tenantId, name, generation, previous }: CredentialRecord,
  { id, emergency, back, certificateName, plan }: Asked,
): Promise<OperationRecord> {
  const { tenants, operations } = world.stores;
  const tenant = await tenants.get(partnerId, tenantId);
  // Nothing waits for those who use what is given up.
  const atOnce = emergency || back;
  const finish = previous !== undefined && !atOnce && certificateName === undefined;
  const request: RotationRequest = {
    name,
    generation: finish ? generation : generation + 1,
    ...(atOnce && { emergency: true }),
    ...(back && { back }),
    ...(finish && { finish }),
    ...(certificateName !== undefined && { certificateName }),
  };
  const wanted = rotationOf(world, request);
  if (!(await operations.find(partnerId, id))) {
    if (back && name !== "smtpCertificate")
      throw refusal("NothingToGoBackTo", `gateways keep no earlier ${name}: it can only be replaced once more`);
    if (wanted.kind === "renewal") await refuseWhileUnderWay(world.stores, tenant);
    await wanted.check(tenant);
    await world.plans.insistOn("certificateRenaming", tenant, plan, { certificateName, back });
  }
  const requestHash = createHash("sha256")
    .update(
      JSON.stringify({
        tenantId,
        name,
        emergency,
        ...(back && { back }),
        ...(certificateName !== undefined && { certificateName }),
      }),
    )
    .digest("hex");
  const steps = wanted.stepsOf(tenant);
  const { operation } = await operations.create({
    partnerId,
    tenantId,
    id,
    kind: wanted.kind,
    requestHash,
    request,
    stageBefore: tenant.stage,
    steps,
  });
  return operation;
}

/** What may break when nothing waits for whoever still uses the old one. */
const riskOf: Record<CredentialName, string> = {
  clientSecret:
    "the old client secret is refused as soon as the gateways hold the new one: whatever else was given it, and a sign-in that is under way, fails",
  exchangeWebServicesSecret:
    "the old client secret is refused as soon as the gateways hold the new one: a mailbox that is being read is read again later",
  loopGuid:
    "rules accept the old loop GUID no longer as soon as the gateways write the new one: mail that is under way with the old one may be judged as spam once more",
  administratorPassword:
    "where somebody else has changed the password it is set all the same, and what Windows has encrypted for the account under that one (Data Protection API) can't be read any more",
  sqlAdministratorPassword:
    "whatever signs in to SQL Server with the old password fails as soon as the gateways have the new one",
  smtpCertificate:
    "a new certificate takes the place of the old one at once, and of an imported one only if the next was imported: ask its authority to revoke the old one",
};

const keyOf = ({ partnerId, tenantId, name }: CredentialRecord): TaskKey => ({
  partnerId,
  tenantId,
  kind: "emergencyRotation",
  subject: name,
});

async function openTask(
  { stores: { tasks } }: Pick<RotationWorld, "stores">,
  credential: CredentialRecord,
  operationId: string,
): Promise<void> {
  const { name, current } = credential;
  await tasks.open({
    ...keyOf(credential),
    operationId,
    title: `Find out what the compromised ${name} was used for`,
    instructions: `Its rotation skips all waits; ${riskOf[name]}. ${whereToLook(name)}, find out who had it, and say here that you have.`,
    fields: current ? [{ label: "Key", value: current.keyId }] : [],
  });
}

function whereToLook(name: CredentialName): string {
  if (isClientSecret(name)) return "Look in the sign-in logs of the application for the key below";
  if (name === "administratorPassword") return "Look in the gateways' Security log for log-ons (4624) of the account";
  if (name === "sqlAdministratorPassword") return "Look in SQL Server's error log and audits on the gateways";
  if (name === "smtpCertificate") return "Have its authority revoke the certificate below";
  return "Look in the message trace for mail that passed by the gateway";
}

/** Nobody but the person can tell. */
export const emergencyCheck = ({ stores: { tasks } }: Pick<RotationWorld, "stores">): TaskCheck => ({
  accept: ({ partnerId, tenantId, kind, subject }, by) =>
    tasks.end(
      { partnerId, tenantId, kind, subject },
      "done",
      `${by === "Partner" ? "the partner" : "an operator"} has looked into it`,
    ),
  look: async ({ subject }) => ({
    found: "missing",
    message: `nobody has said yet what the compromised ${subject} was used for`,
  }),
});
