/**
 * The certificate that the gateways show on port 25 (mission B15): a new version beside the old one in the vault, then one machine after
 * another, out of its load balancer and seen from outside before it takes mail again. The name stays, so connectors know nothing of it.
 */
import { type GatewayCertificate, gatewayCertificate, versionOf } from "../../shared/desired/certificate.ts";
import * as desired from "../../shared/desired/state.ts";
import { resourceSteps } from "../../shared/durable/resources.ts";
import type { OrchestrationContext, Routine } from "../../shared/durable/routine.ts";
import { failureFrom, stepsOf } from "../../shared/durable/steps.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { TlsCertificate } from "../../shared/resources/tls-certificate.ts";
import type { CertificateRotationActivities } from "./certificate-activities.ts";
import { rotate, type Rotation } from "./orchestrator.ts";

export interface CertificateRotation extends Rotation {
  wanted: TlsCertificate;
  /** The one that is in use. */
  shown: GatewayCertificate;
  /** Only takes the old one from the machines. */
  finish?: boolean;
  /** The new one is given up: the machines show this one, which they kept, again. */
  back?: GatewayCertificate;
  certificateOverlapInSeconds: number;
}

export function* rotateCertificate(context: OrchestrationContext, rotation: CertificateRotation): Routine<void> {
  const { work, key, generation, emergency, finish, back, spec, names, ground, pace, wanted, shown } = rotation;
  const steps = stepsOf<CertificateRotationActivities>(context, pace.patience);
  const { ensure } = resourceSteps<Resources>(context, work, pace);
  const target = { work, spec, names };
  /** What the machines are to show from now on. */
  let next = shown;
  /** Of two, Windows takes the one that is valid longer: an old one that is can't stay beside the new one. */
  const keeps = (): boolean => !finish && !emergency && !back && (shown.expiresAt ?? "") < (next.expiresAt ?? "");
  const told = (certificate: GatewayCertificate, kept?: string) => ({
    ground: { certificate },
    secrets: { keptCertificate: kept },
  });

  yield* rotate(context, rotation, {
    *create() {
      next = back ?? (yield* made());
      return versionOf(next);
    },
    *test() {
      // The vault's answer was judged when it was read.
    },
    told: () => told(next, keeps() ? shown.thumbprint : undefined),
    *around({ region, machine, address, suffix }, give) {
      const balanced = ground.regions[names.regions.indexOf(region)]?.loadBalancer !== undefined;
      const place = { region, machine };
      if (balanced) yield* ensure("networkInterface", `leavesPool${suffix}`, desired.unbalancedInterface(target, place));
      let failure: unknown;
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
        // As it was: the new one goes, since of two Windows would show that.
        if (next !== shown) yield* give(told({ ...shown, earlier: [...next.earlier, next.thumbprint].filter(not(shown)) }));
      }
      if (balanced) yield* ensure("networkInterface", `joinsPool${suffix}`, desired.balancedInterface(target, place));
      if (failure === undefined) return;
      if (failureFrom(failure).code === "CertificateNotTrusted")
        yield* steps.refuseCertificate({ work, thumbprint: next.thumbprint });
      throw failure;
    },
    *verify() {
      // Each machine was seen.
    },
    flip: (version) =>
      steps.flipCertificate({
        work,
        key,
        generation,
        made: version,
        next,
        shown,
        ...(keeps() && { keptForSeconds: rotation.certificateOverlapInSeconds }),
        ...(back && { refused: shown.thumbprint }),
      }),
    *overlap() {
      return !keeps();
    },
    *revoke(_, tell) {
      if (finish) yield* tell();
    },
  });

  function* made(): Routine<GatewayCertificate> {
    const found = yield* ensure("tlsCertificate", "newCertificate", { ...wanted, insteadOf: shown.thumbprint });
    if (found.pending) throw new ControlPlaneError("CertificatePending", "the certificate is not there yet", 409);
    return gatewayCertificate(wanted, found);
  }
}

const not =
  ({ thumbprint }: GatewayCertificate) =>
  (one: string): boolean =>
    one !== thumbprint;
