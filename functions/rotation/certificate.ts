/**
 * The certificate that the gateways show on port 25 (mission B15): a new version beside the old one in the vault, then one machine after
 * another, out of its load balancer and seen from outside before it takes mail again. Where the name stays, connectors know nothing of it.
 */
import type { RegionNames } from "../../shared/azure/names.ts";
import {
  type GatewayCertificate,
  gatewayCertificate,
  otherCertificate,
  type OtherCertificate,
  versionOf,
} from "../../shared/desired/certificate.ts";
import type { PlacedMachine } from "../../shared/desired/machines.ts";
import * as desired from "../../shared/desired/state.ts";
import { child } from "../../shared/durable/branches.ts";
import { resourceSteps } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { secondsNow } from "../../shared/durable/wait.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import { proveLoop } from "../../shared/proof/loop.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TlsCertificate } from "../../shared/resources/tls-certificate.ts";
import { settle } from "../../shared/runbook/settling.ts";
import type { CertificateRotationActivities } from "./certificate-activities.ts";
import { acceptBoth, acceptOne, disableOther, dropOther, told as toldBeside } from "./certificate-name.ts";
import { rotate, type Rotation, type Said } from "./orchestrator.ts";

export interface CertificateRotation extends Rotation {
  wanted: TlsCertificate;
  /** The one that is in use. */
  shown: GatewayCertificate;
  /** Only takes the old one from the machines. */
  finish?: boolean;
  /** The new one is given up: the machines show this one, which they kept, again. */
  back?: GatewayCertificate;
  certificateOverlapInSeconds: number;
  /** It gets another name. */
  renaming?: Renaming;
  /** What Exchange Online knows the gateways by beside the one that they show; from when this began. */
  other?: OtherCertificate;
}

export interface Renaming {
  settleInSeconds: number;
  /** An earlier try has come as far as its flip, to this one. */
  flipped?: GatewayCertificate;
}

type Told = (again?: Said) => Routine<void>;

export function* rotateCertificate(context: OrchestrationContext, rotation: CertificateRotation): Routine<void> {
  const { work, key, generation, emergency, finish, back, spec, names, ground, pace, wanted, shown, renaming } = rotation;
  const steps = stepsOf<CertificateRotationActivities>(context, pace.patience);
  const hands = resourceSteps<Resources>(context, work, pace);
  const { ensure } = hands;
  const target = { work, spec, names };
  /** What the machines are to show from now on. */
  let next = renaming?.flipped ?? shown;
  let other: OtherCertificate | undefined = rotation.other;
  /** Of a name that changes: how the machines that show the new one are given the old one again, until nothing is taken back any more. */
  let takenBack: (() => Routine<void>)[] | undefined;
  /** Of two for one name, Windows takes the one that is valid longer: an old one that is can't stay beside the new one. */
  const keeps = (): boolean =>
    !finish && !emergency && !back && (renaming !== undefined || (shown.expiresAt ?? "") < (next.expiresAt ?? ""));
  const told = (certificate: GatewayCertificate, kept?: string): Said => ({
    ground: { certificate },
    secrets: { keptCertificate: kept },
  });
  const known = (certificate: GatewayCertificate, beside: OtherCertificate) => ({
    target,
    ground,
    shown: certificate,
    other: beside,
  });

  yield* rotate(context, rotation, {
    *create() {
      next = back ?? (yield* made());
      return versionOf(next);
    },
    *test() {
      // The vault's answer was judged when it was read.
      if (!renaming) return;
      other = otherCertificate(next, "accepted");
      takenBack = [];
      yield* steps.acceptCertificate({ work, other });
      yield* acceptBoth(hands, known(shown, other));
      const seconds = renaming.settleInSeconds;
      yield* settle(context, { work, step: "acceptedEverywhere", seconds, patience: pace.patience });
    },
    told: () => told(next, keeps() ? shown.thumbprint : undefined),
    *around(placed, give) {
      // Before it is told: wherever that fails, the machine may show the new one.
      takenBack?.push(() => outOfPool(placed, () => showsAgain(give), 2));
      yield* swapped(placed, give);
      if (renaming) yield* proven(placed);
    },
    *verify() {
      // Each machine was seen.
    },
    *flip(version) {
      takenBack = undefined;
      if (renaming) other = otherCertificate(shown, "kept");
      yield* steps.flipCertificate({
        work,
        key,
        generation,
        made: version,
        next,
        shown,
        ...(keeps() && { keptForSeconds: rotation.certificateOverlapInSeconds }),
        ...(back && back.thumbprint !== shown.thumbprint && { refused: shown.thumbprint }),
        ...(renaming && other && { renamed: other }),
      });
    },
    *overlap() {
      if (renaming) {
        const former = other ?? otherCertificate(shown, "kept");
        yield* acceptOne(hands, known(next, former));
        if (keeps()) yield* disableOther(hands, known(next, former));
      }
      return !keeps();
    },
    *revoke(_, tell) {
      if (finish) yield* tell();
      if (other === undefined) return;
      if (!renaming) yield* acceptOne(hands, known(next, other));
      yield* dropOther(hands, known(next, other));
      yield* steps.forgetOtherCertificate({ work });
    },
    /** As it was: no machine shows the new name, and nobody is known by it. */
    *takeBack() {
      if (takenBack === undefined || other === undefined) return;
      for (const showOld of takenBack.reverse()) yield* showOld();
      yield* ensure("outboundConnector", "eitherName", desired.outboundConnector(target, { ...ground, certificate: shown }), 2);
      const { beside } = toldBeside(known(shown, other), "accepted");
      if (beside) yield* hands.remove("inboundConnector", "secondConnector", beside);
      yield* steps.forgetOtherCertificate({ work });
    },
  });

  /** The machine shows the next one, or the old one again. */
  function* swapped(placed: PlacedMachine, give: Told): Routine<void> {
    const { address, suffix } = placed;
    let failure: unknown;
    yield* outOfPool(placed, function* () {
      try {
        yield* give();
        yield* steps.checkCertificateShown({
          work,
          step: `certificateShown${suffix}`,
          address: address.ipAddress,
          certificate: next,
        });
      } catch (error) {
        failure = error;
        if (next !== shown) yield* showsAgain(give);
      }
    });
    if (failure === undefined) return;
    if (failureFrom(failure).code === "CertificateNotTrusted")
      yield* steps.refuseCertificate({ work, thumbprint: next.thumbprint });
    throw failure;
  }

  /** The new one goes, since of two for one name Windows would show that. */
  function showsAgain(give: Told): Routine<void> {
    return give(told({ ...shown, earlier: [...next.earlier, next.thumbprint].filter(not(shown)) }));
  }

  function* outOfPool({ region, machine, suffix }: PlacedMachine, act: () => Routine<void>, attempt = 1): Routine<void> {
    const balanced = isBalanced(rotation, region);
    const place = { region, machine };
    if (balanced) yield* ensure("networkInterface", `leavesPool${suffix}`, desired.unbalancedInterface(target, place), attempt);
    yield* act();
    if (balanced) yield* ensure("networkInterface", `joinsPool${suffix}`, desired.balancedInterface(target, place), attempt);
  }

  /** A mail comes back by this very machine: what the others show says nothing of it. */
  function* proven({ address, suffix }: PlacedMachine): Routine<void> {
    const deadline = secondsNow(context) + pace.probeDeadlineInSeconds;
    const loop = desired.loop(target, { ...ground, certificate: next });
    const step = `probeMail${suffix}` as const;
    for (let round = 1; secondsNow(context) <= deadline; round++) {
      const search = { work, pace, loop, step, search: round, round: 1, deadline };
      const { hops } = yield* child(context, proveLoop, search, `${step}-${round}`);
      if (hops.some((hop) => cameFrom(hop, address.ipAddress))) return;
    }
    throw new ControlPlaneError(
      "LoopUnproven",
      `mail came back, but none of it by ${address.ipAddress}, which shows the certificate for ${next.name}`,
      409,
    );
  }

  function* made(): Routine<GatewayCertificate> {
    const found = yield* ensure("tlsCertificate", "newCertificate", { ...wanted, insteadOf: shown.thumbprint });
    if (found.pending) throw new ControlPlaneError("CertificatePending", "the certificate is not there yet", 409);
    return gatewayCertificate(wanted, found);
  }
}

export const isBalanced = ({ ground, names }: Pick<Rotation, "ground" | "names">, region: RegionNames): boolean =>
  ground.regions[names.regions.indexOf(region)]?.loadBalancer !== undefined;

const cameFrom = (hop: string, address: string): boolean => hop.split(/[\s()[\];]+/).includes(address);

const not =
  ({ thumbprint }: GatewayCertificate) =>
  (one: string): boolean =>
    one !== thumbprint;
