/** What another name of the certificate would change, found out by walking the same way with hands that only look. */
import { refusal } from "../../shared/api/error-codes.ts";
import { gatewayCertificate } from "../../shared/desired/certificate.ts";
import { machinesOf } from "../../shared/desired/machines.ts";
import { type MailRoute, mailRouteOf } from "../../shared/desired/mail-route.ts";
import * as desired from "../../shared/desired/state.ts";
import type { GuestGeneration } from "../../shared/desired/state.ts";
import { targetOf } from "../../shared/desired/target.ts";
import { typical } from "../../shared/plans/durations.ts";
import { lookingWay } from "../../shared/plans/looking-way.ts";
import type { Asked, Planned } from "../../shared/plans/plans.ts";
import { plannedOf } from "../../shared/plans/resources.ts";
import { guestOf } from "../../shared/runbook/guest.ts";
import { type Sight, walked } from "../../shared/runbook/looking.ts";
import type { Walk } from "../../shared/runbook/runbook.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { acceptBoth, acceptOne, disableOther, dropOther } from "./certificate-name.ts";
import { type CertificateRotation, isBalanced } from "./certificate.ts";
import { rotationOf, type RotationRequest } from "./rotations.ts";
import type { RotationWorld } from "./world.ts";

export async function planRenaming(
  world: RotationWorld,
  tenant: TenantRecord,
  { certificateName, back = false }: Asked,
): Promise<Planned> {
  const { partnerId, id: tenantId } = tenant;
  if (certificateName === undefined && !back)
    throw refusal("InvalidRequest", "say which name the certificate is to be for, or back", { target: "certificateName" });
  const found = await world.stores.credentials.find({ partnerId, tenantId, name: "smtpCertificate" });
  const request: RotationRequest = {
    name: "smtpCertificate",
    generation: (found?.generation ?? 0) + 1,
    ...(certificateName === undefined ? { back, emergency: true } : { certificateName }),
  };
  const wanted = rotationOf(world, request);
  await wanted.check(tenant);
  const sight: Sight = { seen: [], seconds: 0 };
  await walked(way(world, sight, wanted.inputOf(tenant, "")));
  return {
    names: targetOf(tenant).names,
    estimatedSeconds: sight.seconds,
    resources: plannedOf(sight.seen, wanted.stepsOf(tenant)),
    checks: [],
    findings: [
      {
        code: "NameNotChecked",
        severity: "information",
        message: "until all gateways show the other name, Exchange Online takes any public authority's certificate of theirs",
        remedy: "nothing: the name is asked for again when the last of them shows it",
      },
    ],
    tasks: [],
  };
}

/** In the order in which it is done; what is proven on the way takes its time. */
function* way(world: RotationWorld, sight: Sight, rotation: CertificateRotation): Walk<Promise<unknown>, void> {
  const { work, spec, names, ground, wanted, shown, back, other, renaming } = rotation;
  const target = { work, spec, names };
  const hands = lookingWay(world.resources, sight, "");
  let next = back;
  if (next === undefined) {
    const found = yield* hands.ensure("tlsCertificate", "newCertificate", { ...wanted, insteadOf: shown.thumbprint });
    next =
      sight.seen.at(-1)?.action === "none" && !found.pending
        ? gatewayCertificate(wanted, found)
        : { ...shown, name: wanted.name };
  }
  if (renaming) {
    yield* acceptBoth(hands, { target, ground, shown, other: next });
    sight.seconds += typical.propagation;
  }
  const route = (yield mailRouteOf(world, desired.mailRouteWanted(target))) as MailRoute;
  const held = (yield guestOf(world, work)) as GuestGeneration;
  for (const { region, machine, address, suffix } of machinesOf(target, ground)) {
    const said = {
      ...held,
      generation: held.generation + 1,
      agents: ground.agents,
      ...(!back && { keptCertificate: shown.thumbprint }),
    };
    const showing = { ...ground, certificate: next };
    const document = desired.guest(target, { region, machine }, address.fqdn, showing, route, said);
    if (isBalanced(rotation, region))
      yield* hands.ensure("networkInterface", `leavesPool${suffix}`, desired.unbalancedInterface(target, { region, machine }));
    yield* hands.ensure("guest", `applyToGateway${suffix}`, document);
    sight.seconds += typical.probeMail;
  }
  const former = { target, ground, shown: next, other: renaming ? shown : (other ?? shown) };
  yield* acceptOne(hands, former);
  yield* back ? dropOther(hands, former) : disableOther(hands, former);
}
