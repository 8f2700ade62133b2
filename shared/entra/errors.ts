/** What Entra says when it gives no token, told so that an operator can act on it. */
import { ControlPlaneError } from "../errors.ts";

interface Refusal {
  code: string;
  status: number;
  transient?: boolean;
  phrase(entraTenantId: string): string;
}

const consentMissing = (what: string): Refusal => ({
  code: "ConsentRequired",
  status: 403,
  phrase: (tenant) => `${what} in the Entra tenant ${tenant}: its administrator has to open the consent link`,
});

/** Entra's error numbers. Source: "Microsoft Entra authentication and authorization error codes". */
const refusals: Record<string, Refusal> = {
  65001: consentMissing("admin consent for our application is missing"),
  65004: consentMissing("the administrator declined the consent for our application"),
  90094: consentMissing("somebody who is no administrator tried to consent to our application"),
  700016: consentMissing("our application is not known"),
  7000112: {
    code: "ApplicationDisabled",
    status: 403,
    phrase: (tenant) =>
      `our application is disabled in the Entra tenant ${tenant}: its administrator has to enable the enterprise application`,
  },
  // The service principal of the application, or of the API that it calls, is still being made on another replica.
  650051: {
    code: "EntraSettling",
    status: 503,
    transient: true,
    phrase: (tenant) => `our application is being added to the Entra tenant ${tenant}`,
  },
  650052: {
    code: "ServiceNotSubscribed",
    status: 403,
    phrase: (tenant) =>
      `the Entra tenant ${tenant} has no subscription to the service that is asked for: a licence for it has to be assigned there`,
  },
  90002: tenantMissing(),
  900023: tenantMissing(),
  5000224: tenantMissing(),
  7000215: ourCredential("the client secret is wrong"),
  7000222: ourCredential("the client secret or certificate has expired"),
  700024: ourCredential("the managed identity's assertion has expired"),
  70021: ourCredential("no federated credential matches the managed identity's assertion"),
  700211: ourCredential("no federated credential matches the issuer of the managed identity's assertion"),
  700212: ourCredential("no federated credential matches the audience of the managed identity's assertion"),
  700213: ourCredential("no federated credential matches the subject of the managed identity's assertion"),
  53003: {
    code: "ConditionalAccessBlocked",
    status: 403,
    phrase: (tenant) =>
      `a Conditional Access policy of the Entra tenant ${tenant} blocks our application: exclude its workload identity`,
  },
  50020: guest(),
  50177: guest(),
  90033: busy(),
  50196: busy(),
};

function tenantMissing(): Refusal {
  return {
    code: "EntraTenantNotFound",
    status: 404,
    phrase: (tenant) => `there is no Entra tenant ${tenant}: check the id in the spec`,
  };
}

function ourCredential(what: string): Refusal {
  return {
    code: "ApplicationCredentialInvalid",
    status: 500,
    phrase: (tenant) => `our application's credential was refused in the Entra tenant ${tenant}: ${what}`,
  };
}

function guest(): Refusal {
  return { code: "AccountIsGuest", status: 403, phrase: (tenant) => `the account is no member of the Entra tenant ${tenant}` };
}

function busy(): Refusal {
  return {
    code: "EntraBusy",
    status: 503,
    transient: true,
    phrase: (tenant) => `Entra asks to wait with tokens for the tenant ${tenant}`,
  };
}

/** Codes that mean that the access is not there yet, rather than a fault. */
export const accessMissing = (code: string): boolean =>
  code === "ConsentRequired" || code === "ExchangeRoleMissing" || code === "ApplicationDisabled" || code === "EntraSettling";

/** Turns what a credential's `getToken` threw into an error with a code, a phrase to act on, and whether trying again can help. */
export function entraError(cause: unknown, entraTenantId: string): ControlPlaneError {
  if (cause instanceof ControlPlaneError) return cause;
  const text = textOf(cause);
  const number = /AADSTS(\d+)/.exec(text)?.[1];
  const refusal = number === undefined ? undefined : refusals[number];
  if (refusal)
    return new ControlPlaneError(refusal.code, refusal.phrase(entraTenantId), refusal.status, refusal.transient ?? false, {
      cause,
    });
  if (number !== undefined)
    return new ControlPlaneError(
      "EntraRefused",
      `Entra refused a token in the tenant ${entraTenantId} with AADSTS${number}`,
      502,
      false,
      { cause },
    );
  // Without a number of its own the answer did not come from Entra's decision: the network, a proxy, or our managed identity's endpoint.
  return new ControlPlaneError("EntraUnreachable", `no token could be had for the Entra tenant ${entraTenantId}`, 503, true, {
    cause,
  });
}

/** The message and those of its causes: MSAL wraps Entra's answer once or twice. */
function textOf(error: unknown, depth = 0): string {
  if (!(error instanceof Error) || depth > 4) return String(error);
  const description = "errorResponse" in error ? JSON.stringify(error.errorResponse) : "";
  return `${error.message} ${description} ${error.cause === undefined ? "" : textOf(error.cause, depth + 1)}`;
}
