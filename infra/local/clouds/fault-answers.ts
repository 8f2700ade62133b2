/** What a client sees when a fault was asked for: the answer in place of the cloud's, or the cloud's own answer spoilt. */
import type { Fault } from "./faults.ts";
import type { CloudName, SimulatedResponse } from "./simulator.ts";

const page =
  "<!DOCTYPE html><html><head><title>Object moved</title></head><body><h1>The service is unavailable.</h1></body></html>";

/** Whether the cloud does what it was asked although its answer is not the one that goes out. */
export const actsFirst = (fault: Fault): boolean => "afterEffect" in fault && fault.afterEffect === true;

/** What a fault answers instead of the cloud; undefined for those that let the cloud's answer out. */
export function answerInstead(fault: Fault, cloud: CloudName, now: number): SimulatedResponse | undefined {
  switch (fault.kind) {
    case "refuse":
      return {
        status: 403,
        body: errorBody(cloud, "AuthorizationFailed", "The client does not have authorization to perform the action."),
      };
    case "throttle":
      return {
        ...throttled(cloud),
        headers: retryAfter(fault.retryAfterInSeconds === undefined ? 1 : fault.retryAfterInSeconds),
      };
    case "status": {
      const { status, code = status === 503 ? "ServiceUnavailable" : "InternalServerError" } = fault;
      const body = errorBody(cloud, code, "The service is not able to process the request.");
      return { status, headers: retryAfter(fault.retryAfterInSeconds), body };
    }
    case "html":
      return { status: fault.status ?? 200, headers: { "content-type": "text/html; charset=utf-8" }, body: page };
    case "answer": {
      const { status, headers = {}, body } = fault;
      return { status, headers, ...(body === undefined ? {} : { body }) };
    }
    case "claims-challenge":
      return claimsChallenge(cloud, now);
    default:
      return undefined;
  }
}

/** The cloud's own answer, spoilt. */
export function spoilt(fault: Fault, answer: SimulatedResponse): SimulatedResponse {
  if (fault.kind === "content-type")
    return { ...answer, headers: { ...answer.headers, "content-type": fault.contentType ?? "text/plain; charset=utf-8" } };
  if (fault.kind !== "foreign-next-link" || typeof answer.body !== "object" || answer.body === null) return answer;
  // OData's clouds name it with a prefix, ARM and Key Vault without.
  const name = "@odata.context" in answer.body ? "@odata.nextLink" : "nextLink";
  return { ...answer, body: { ...answer.body, [name]: `${fault.origin ?? "https://elsewhere.example"}/next?$skiptoken=1` } };
}

const retryAfter = (seconds: number | null | undefined): Record<string, string> =>
  seconds === undefined || seconds === null ? {} : { "retry-after": String(seconds) };

/**
 * Sources: "Microsoft Graph throttling guidance", "Azure Key Vault throttling guidance", "Understand how Azure Resource Manager throttles
 * requests". Exchange's is the error object of all its failures.
 */
function throttled(cloud: CloudName): { status: 429; body: unknown } {
  const [code, message] = ((): [string, string] => {
    if (cloud === "vault")
      return [
        "Throttled",
        "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached",
      ];
    if (cloud === "arm")
      return ["SubscriptionRequestsThrottled", "The number of requests exceeded the limit. Please try again later."];
    return ["TooManyRequests", "Too many requests. Please retry again later."];
  })();
  return { status: 429, body: errorBody(cloud, code, message) };
}

/**
 * Continuous access evaluation: the token is good no longer, and a new one must answer these claims. Source: "Claims challenges, claims
 * requests, and client capabilities" in the documentation of the Microsoft identity platform.
 */
function claimsChallenge(cloud: CloudName, now: number): SimulatedResponse {
  const claims = { access_token: { nbf: { essential: true, value: String(Math.floor(now / 1000)) } } };
  const parts = [
    'realm=""',
    'authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"',
    'error="insufficient_claims"',
    `claims="${Buffer.from(JSON.stringify(claims)).toString("base64")}"`,
  ];
  return {
    status: 401,
    headers: { "www-authenticate": `Bearer ${parts.join(", ")}` },
    body: errorBody(
      cloud,
      "InvalidAuthenticationToken",
      "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp",
    ),
  };
}

/** Entra answers as OAuth does (RFC 6749, chapter 5.2), the others as the Azure REST guidelines say. */
const errorBody = (cloud: CloudName, code: string, message: string): unknown =>
  cloud === "entra"
    ? { error: "temporarily_unavailable", error_description: `AADSTS90033: ${message}`, error_codes: [90033] }
    : { error: { code, message } };
