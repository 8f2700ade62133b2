/** What rotation needs of the world. */
import type { AcmeCertificates } from "../../shared/acme/certificates.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { MailRouteClients } from "../../shared/desired/mail-route.ts";
import type { ApplicationPasswords } from "../../shared/graph/passwords.ts";
import type { DeadLetters } from "../../shared/messages/dead-letters.ts";
import type { Sender } from "../../shared/messages/sender.ts";
import type { Plans } from "../../shared/plans/plans.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { StartTls } from "../../shared/smtp/starttls.ts";
import type { Vaults } from "../../shared/vault/client.ts";
import type { RotationPace } from "./orchestrator.ts";

export interface RotationWorld extends ApiWorld, MailRouteClients {
  vaults: Vaults;
  certificates: Pick<AcmeCertificates, "withdrawLeftBehind">;
  resources: Resources;
  plans: Plans;
  startTls: StartTls;
  passwords: ApplicationPasswords;
  checkClientSecret(secret: { entraTenantId: string; clientId: string; clientSecret: string }): Promise<boolean>;
  sender: Sender;
  deadLetters: DeadLetters;
  rotation: {
    pace: RotationPace;
    /** How long machines keep the certificate that they showed before. */
    certificateOverlapInSeconds: number;
    /** Until every server of Exchange Online knows a connector. */
    settleInSeconds: number;
  };
  reportFailure(activity: string, error: unknown): void;
}
