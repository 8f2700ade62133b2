/** What rotation needs of the world. */
import type { AcmeCertificates } from "../../shared/acme/certificates.ts";
import type { ApiWorld } from "../../shared/api/world.ts";
import type { MailRouteClients } from "../../shared/desired/mail-route.ts";
import type { ApplicationPasswords } from "../../shared/graph/passwords.ts";
import type { DeadLetters } from "../../shared/messages/dead-letters.ts";
import type { Sender } from "../../shared/messages/sender.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { StartTls } from "../../shared/smtp/starttls.ts";
import type { Vaults } from "../../shared/vault/client.ts";
import type { RotationPace } from "./orchestrator.ts";

export interface RotationWorld extends ApiWorld, MailRouteClients {
  vaults: Vaults;
  certificates: Pick<AcmeCertificates, "withdrawLeftBehind">;
  resources: Pick<Resources, "tlsCertificate">;
  startTls: StartTls;
  passwords: ApplicationPasswords;
  checkClientSecret(secret: { entraTenantId: string; clientId: string; clientSecret: string }): Promise<boolean>;
  sender: Sender;
  deadLetters: DeadLetters;
  rotation: {
    pace: RotationPace;
    /** How long machines keep the certificate that they showed before. */
    certificateOverlapInSeconds: number;
  };
  reportFailure(activity: string, error: unknown): void;
}
