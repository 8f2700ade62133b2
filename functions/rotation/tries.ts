/**
 * Tries of one rotation: each is an operation under the next number, and one that has failed is not begun again at once, however many
 * messages say that it is due. Whoever asks for a rotation, or says that a credential is compromised, waits for none of this.
 */
import { type CredentialRecord, isClientSecret } from "../../shared/stores/credentials.ts";
import type { Stores } from "../../shared/stores/stores.ts";
import type { CredentialName } from "../../shared/vault/credential-names.ts";

const HOUR = 3600 * 1000;
/** So that the daily sweep always finds it due again. */
const LONGEST_PAUSE = 12 * HOUR;

/** An hour after the first failure, and twice as long after each further one. */
const pauseAfter = (failures: number): number => (failures === 0 ? 0 : Math.min(LONGEST_PAUSE, HOUR * 2 ** (failures - 1)));

/**
 * The id of the operation that carries the rotation out: of one that is under way or over, or of the next try, whose vault version is found
 * and used; `until` instead, while the last failure is too fresh. Letting the old one go is another operation than making the new one,
 * where the one doesn't wait for the other; it is tried a second time at the next message, since until then the old one is still good.
 */
export async function nextTry(
  operations: Pick<Stores["operations"], "find">,
  { partnerId, tenantId, name, previous }: Pick<CredentialRecord, "partnerId" | "tenantId" | "name" | "previous">,
  generation: number,
  now: number,
): Promise<{ id: string } | { until: number }> {
  // A number at its end for the WebClient's, words for the others: no tenant's id makes two of them the same.
  const ending = `${endings[name]}${previous !== undefined && !isClientSecret(name) ? "-old" : ""}`;
  let failures = previous === undefined ? 0 : -1;
  let until = 0;
  for (let attempt = 0; ; attempt++) {
    const id = `rotation-${tenantId}-${generation}-${attempt}${ending}`;
    const known = await operations.find(partnerId, id);
    if (known === undefined) return until > now ? { until } : { id };
    if (known.status === "Failed") until = Date.parse(known.lastUpdatedAt) + pauseAfter(++failures);
    else if (known.status !== "Canceled") return { id };
  }
}

const endings: Record<CredentialName, string> = {
  clientSecret: "",
  exchangeWebServicesSecret: "-ews",
  loopGuid: "-guid",
  administratorPassword: "-administrator",
  sqlAdministratorPassword: "-sql",
  smtpCertificate: "-tls",
};
