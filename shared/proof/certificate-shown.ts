/** A machine is seen to show its certificate, from outside, as whoever sends it mail sees it. */
import type { Work } from "../durable/resources.ts";
import { ControlPlaneError } from "../errors.ts";
import { recordingSteps } from "../resources/activities.ts";
import type { CertificateSeen } from "../runbook/certificate.ts";
import type { StartTls } from "../smtp/starttls.ts";
import type { Stores } from "../stores/stores.ts";

/** By STARTTLS on port 25. The thumbprint says that it is the vault's, whose names and dates are known; the chain is the world's to judge. */
export const createCertificateProof = ({ stores, startTls }: { stores: Stores; startTls: StartTls }) => {
  const recorded = recordingSteps(stores);
  return {
    checkCertificateShown: ({ work, step, address, certificate }: CertificateSeen & { work: Work }): Promise<void> =>
      recorded(work, step, async () => {
        const { name, thumbprint, trusted } = certificate;
        const shown = await startTls.certificateAt({ address, name });
        if (shown.thumbprint !== thumbprint)
          throw new ControlPlaneError(
            "CertificateNotShown",
            `${address} shows another certificate (${shown.thumbprint}) than the vault's (${thumbprint})`,
            502,
            true,
          );
        if (trusted && shown.distrust !== undefined)
          throw new ControlPlaneError(
            "CertificateNotTrusted",
            `the certificate that ${address} shows would not be trusted: ${shown.distrust}; connectors were left as they are`,
            409,
          );
        return { result: undefined };
      }),
  };
};

export type CertificateProof = ReturnType<typeof createCertificateProof>;
