/** One request to Exchange Online: its token, its headers, and what came back. */
import { randomUUID } from "node:crypto";
import type { Credentials } from "../entra/credentials.ts";
import { noteRequest } from "../cloud-requests.ts";
import { entraError } from "../entra/errors.ts";
import type { CloudEnvironment } from "../environment.ts";
import { ControlPlaneError } from "../errors.ts";

export interface Asked {
  organization: string;
  url: string;
  /** None where something is only fetched. */
  body?: string;
  /** What InvokeCommand wants beside what every request carries. */
  headers: Record<string, string>;
  /** The same for all pages of one cmdlet. */
  requestId: string;
  /** What is being done, in words: `Get-TransportRule in the organisation …`. */
  doing: string;
  /** Asking changes nothing, so an answer that is lost leaves nothing unknown behind. */
  reads: boolean;
}

export interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

export interface Wire {
  /** Of the organisation's administration interface. */
  url(organization: string, endpoint: "InvokeCommand" | "$batch" | `EXOModuleFile?${string}`): string;
  /** Ours in that organisation. */
  token(organization: string): Promise<string>;
  /** With a new token each time: what Exchange tells of our rights follows from the token's. */
  get(asked: Omit<Asked, "body" | "reads">): Promise<Answer>;
  /** A 401 is answered with a new token once: with the claims that are asked for, else without what was cached. */
  post(asked: Asked): Promise<Answer>;
  /** Throws unless a page's link leads to where our token may go. */
  followable(link: string, doing: string): string;
}

export interface WireOptions {
  environment: CloudEnvironment;
  credentials: Credentials;
  send: typeof fetch;
  timeoutInSeconds: number;
}

/** The arbitration mailbox that app-only calls are routed by; the same id in every organisation. */
const ANCHOR = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}";

/** What InvokeCommand looks at in a request of its own and in each part of a batch. */
export const cmdletHeaders = (organization: string, cmdlet: string): Record<string, string> => ({
  "Content-Type": "application/json; charset=utf-8",
  Accept: "application/json",
  "Accept-Language": "en-US",
  "X-CmdletName": cmdlet,
  "X-AnchorMailbox": `APP:${ANCHOR}@${organization}`,
  "X-ResponseFormat": "json",
  "X-SerializationLevel": "Partial",
  Prefer: "odata.maxpagesize=1000",
});

/** A batch stands for no cmdlet; it goes on after a part that failed. */
export const batchHeaders = (organization: string): Record<string, string> => ({
  "Content-Type": "application/json; charset=utf-8",
  Accept: "application/json",
  "Accept-Language": "en-US",
  "X-AnchorMailbox": `APP:${ANCHOR}@${organization}`,
  Prefer: "odata.maxpagesize=1000; odata.continue-on-error",
});

export function createWire({ environment, credentials, send, timeoutInSeconds }: WireOptions): Wire {
  const { endpoint, audience } = environment.exchange;
  // One logical session; Exchange relates its own logs by it.
  const connectionId = randomUUID();

  async function tokenFor(organization: string, claims?: string): Promise<string> {
    try {
      const token = await credentials
        .inTenant(organization)
        .getToken(`${audience}/.default`, { enableCae: true, ...(claims === undefined ? {} : { claims }) });
      if (!token) throw new Error("the credential gave no token");
      return token.token;
    } catch (error) {
      throw entraError(error, organization);
    }
  }

  async function once({ url, body, headers, requestId, reads, doing }: Asked, token: string): Promise<Answer> {
    try {
      const response = await send(url, {
        method: body === undefined ? "GET" : "POST",
        ...(body === undefined ? {} : { body }),
        headers: {
          ...headers,
          Authorization: `Bearer ${token}`,
          "User-Agent": "Gatehouse",
          "client-request-id": requestId,
          "connection-id": connectionId,
        },
        // A redirect would carry our token elsewhere.
        redirect: "error",
        signal: AbortSignal.timeout(timeoutInSeconds * 1000),
      });
      // Its body may not arrive whole, or not be what its Content-Encoding says: lost like an answer that never came.
      const text = await response.text();
      if (!reads) noteRequest("exchange", requestId);
      return { status: response.status, headers: response.headers, text };
    } catch (cause) {
      // A request that never left did nothing; one whose answer was lost may have done all.
      if (!reads && !neverSent(cause)) throw outcomeUnknown(doing, cause);
      throw new ControlPlaneError("ExchangeUnreachable", `${doing}: Exchange Online does not answer`, 503, true, { cause });
    }
  }

  return {
    // The list of cmdlets has no version but 1.0.
    url: (organization, name) =>
      `${endpoint}/adminapi/${name.startsWith("EXO") ? "v1.0" : "beta"}/${encodeURIComponent(organization)}/${name}`,
    token: tokenFor,
    get: async (asked) => {
      credentials.forget(asked.organization);
      return once({ ...asked, reads: true }, await tokenFor(asked.organization));
    },
    async post(asked) {
      const { organization } = asked;
      const answer = await once(asked, await tokenFor(organization));
      if (answer.status !== 401 || /is not allowed to call/i.test(answer.text)) return answer;
      const claims = claimsChallenge(answer.headers.get("www-authenticate"));
      if (claims === undefined) credentials.forget(organization);
      return once(asked, await tokenFor(organization, claims));
    },
    followable(link, doing) {
      if (new URL(link, endpoint).origin === new URL(endpoint).origin) return link;
      throw malformed(doing, "continues on another host, which would get our token");
    },
  };
}

const neverSent = (cause: unknown): boolean => {
  const inner = cause instanceof Error ? cause.cause : undefined;
  const code = typeof inner === "object" && inner !== null && "code" in inner ? String(inner.code) : "";
  return code === "ECONNREFUSED" || code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "UND_ERR_CONNECT_TIMEOUT";
};

/** Continuous access evaluation: `Bearer error="insufficient_claims", claims="<base64 of JSON>"`. */
function claimsChallenge(header: string | null): string | undefined {
  const claims = /claims="([^"]+)"/.exec(header ?? "")?.[1];
  return claims === undefined ? undefined : Buffer.from(claims, "base64").toString("utf8");
}

export const outcomeUnknown = (doing: string, cause: unknown): ControlPlaneError =>
  new ControlPlaneError("ExchangeOutcomeUnknown", `${doing}: the answer was lost, so it may have happened`, 503, true, { cause });

export const malformed = (doing: string, what: string, cause?: unknown): ControlPlaneError =>
  new ControlPlaneError(
    "ExchangeAnswerMalformed",
    `${doing}: the answer ${what}`,
    502,
    false,
    cause === undefined ? {} : { cause },
  );
