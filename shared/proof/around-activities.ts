/** How a mail is seen to go round the gateway; nothing of Azure is read, so that it works when that is what is down. */
import { createHash } from "node:crypto";
import { LOOP_HEADER } from "../desired/state.ts";
import type { Work } from "../durable/resources.ts";
import { type Failure, failureFrom } from "../durable/steps.ts";
import { ControlPlaneError, detailOf } from "../errors.ts";
import type { ProbeMails } from "../graph/mail.ts";
import { isBypassMark } from "../resources/bypass-rule.ts";
import type { Stores } from "../stores/stores.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import { AROUND_STEP } from "./around.ts";

interface ProbeStep {
  work: Work;
  spec: TenantSpec;
  subject: string;
}

export type AroundActivities = ReturnType<typeof createAroundActivities>;

export const createAroundActivities = ({
  probes,
  stores: { operations },
}: {
  probes: ProbeMails;
  stores: Pick<Stores, "operations">;
}) => ({
  sendBypassProbe: async ({ work: { partnerId, operationId }, spec, subject }: ProbeStep): Promise<void> => {
    const { tenantId: organization, probeMailbox } = spec.microsoft365;
    const message = `waiting until mail of ${probeMailbox} goes round the gateway on every server of Exchange Online`;
    await operations.recordStep(partnerId, operationId, AROUND_STEP, { status: "Running" });
    await operations.recordProgress(partnerId, operationId, { waitingFor: { kind: "propagation", message } });
    await probes.sendProbe(organization, probeMailbox, {
      subject,
      to: probeMailbox,
      nonce: createHash("sha256").update(subject).digest("hex"),
    });
  },

  /** `around`: arrived without having met the gateway. `through`: a server still sends mail there. */
  checkBypassProbe: async ({ spec, subject }: ProbeStep): Promise<{ found: "absent" | "around" | "through" }> => {
    const { tenantId: organization, probeMailbox } = spec.microsoft365;
    const probe = await probes.findProbe(organization, probeMailbox, subject);
    if (probe.state === "unknown")
      throw new ControlPlaneError(probe.reason.code, `looking for a probe mail: ${probe.reason.message}`, 503, true);
    if (probe.state === "absent") return { found: "absent" };
    const marks = probe.headers.filter(({ name }) => name.toLowerCase() === LOOP_HEADER.toLowerCase());
    return { found: marks.every(({ value }) => isBypassMark(value)) ? "around" : "through" };
  },

  endBypass: async ({
    work: { partnerId, operationId },
    spec,
    settled,
  }: Omit<ProbeStep, "subject"> & { settled: boolean }): Promise<Failure | undefined> => {
    const { probeMailbox } = spec.microsoft365;
    const failure = settled
      ? undefined
      : failureFrom(
          new ControlPlaneError(
            "StillForwarding",
            `mail of ${probeMailbox} still meets the gateway or does not arrive, so nothing further was done; look at the mailbox and at other rules that name the outbound connector, then ask again`,
            504,
          ),
        );
    await operations.recordStep(
      partnerId,
      operationId,
      AROUND_STEP,
      failure ? { status: "Failed", error: detailOf(failure) } : { status: "Succeeded" },
    );
    await operations.recordProgress(partnerId, operationId, { waitingFor: null });
    return failure;
  },
});
