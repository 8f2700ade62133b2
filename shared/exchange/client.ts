/** Exchange Online by InvokeCommand, which runs any cmdlet that our role allows: the interface that its own PowerShell module speaks. */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import type { Credentials } from "../entra/credentials.ts";
import { entraError } from "../entra/errors.ts";
import type { CloudEnvironment } from "../environment.ts";
import { ControlPlaneError } from "../errors.ts";
import { observing } from "../resources/observing.ts";
import type { Observed } from "../resources/resource.ts";
import {
  type Cmdlet,
  type CmdletParameters,
  type CmdletResult,
  type ReadCmdlet,
  resultSchemas,
  type WriteCmdlet,
} from "./cmdlets.ts";
import { encodeParameters, withoutAnnotations } from "./encoding.ts";
import { exchangeFailure, type Refusal, refusalAmong, refusalIn } from "./failures.ts";

export interface Exchange {
  /** The first object that matches; a failed read is `unknown`. */
  get<C extends ReadCmdlet>(organization: string, cmdlet: C, parameters: CmdletParameters[C]): Promise<Observed<CmdletResult<C>>>;
  /** All that match, over all pages; none when Exchange knows no such object; throws when the read failed. */
  list<C extends ReadCmdlet>(organization: string, cmdlet: C, parameters: CmdletParameters[C]): Promise<CmdletResult<C>[]>;
  /**
   * Runs a cmdlet that changes something; gives what it answered first, if anything. `ExchangeOutcomeUnknown` means that it may have
   * happened although its answer was lost: read back, then decide.
   */
  run<C extends WriteCmdlet>(
    organization: string,
    cmdlet: C,
    parameters: CmdletParameters[C],
  ): Promise<CmdletResult<C> | undefined>;
  /** Like `run`, for cmdlets that answer with a list. */
  runAll<C extends WriteCmdlet>(organization: string, cmdlet: C, parameters: CmdletParameters[C]): Promise<CmdletResult<C>[]>;
}

export interface ExchangeOptions {
  environment: CloudEnvironment;
  credentials: Credentials;
  fetch?: typeof fetch;
  /** Configuration cmdlets answer within seconds; after this the outcome counts as unknown. */
  timeoutInSeconds?: number;
}

/** The arbitration mailbox that app-only calls are routed by; the same id in every organisation. */
const ANCHOR = "SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}";
const MOST_PAGES = 100;

const answerSchema = z.looseObject({
  value: z.array(z.record(z.string(), z.unknown())).default([]),
  "@odata.nextLink": z.string().optional(),
  "@adminapi.errors": z.unknown().optional(),
});

interface Invocation {
  organization: string;
  cmdlet: Cmdlet;
  url: string;
  body: string;
  requestId: string;
  /** What must not be seen in an error: words that a rule looks for are the tenant's loop GUID. */
  secrets: string[];
}

export function createExchange({
  environment,
  credentials,
  fetch: send = fetch,
  timeoutInSeconds = 120,
}: ExchangeOptions): Exchange {
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

  async function post({ organization, cmdlet, url, body, requestId }: Invocation, token: string): Promise<Answer> {
    const response = await send(url, {
      method: "POST",
      body,
      headers: {
        Authorization: `Bearer ${token}`,
        "Content-Type": "application/json; charset=utf-8",
        Accept: "application/json",
        "Accept-Language": "en-US",
        "User-Agent": "Gatehouse",
        "X-CmdletName": cmdlet,
        "X-AnchorMailbox": `APP:${ANCHOR}@${organization}`,
        "X-ResponseFormat": "json",
        "X-SerializationLevel": "Partial",
        Prefer: "odata.maxpagesize=1000",
        "client-request-id": requestId,
        "connection-id": connectionId,
      },
      // A redirect would carry our token elsewhere.
      redirect: "error",
      signal: AbortSignal.timeout(timeoutInSeconds * 1000),
    });
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  /** One page. A 401 is answered with a new token once: with the claims that are asked for, else without what was cached. */
  async function page(invocation: Invocation): Promise<Page> {
    const { organization, cmdlet } = invocation;
    const doing = `${cmdlet} in the organisation ${organization}`;
    const token = await tokenFor(organization);
    let answer = await post(invocation, token).catch(lost(cmdlet, doing));
    if (answer.status === 401 && !/is not allowed to call/i.test(answer.text)) {
      const claims = claimsChallenge(answer.headers.get("www-authenticate"));
      if (claims === undefined) credentials.forget(organization);
      answer = await post(invocation, await tokenFor(organization, claims)).catch(lost(cmdlet, doing));
    }
    try {
      return read(answer, cmdlet, doing, invocation.secrets);
    } catch (error) {
      // A cached token still carries the old roles: the next try asks for a new one.
      if (error instanceof ControlPlaneError && error.code === "ExchangeRoleMissing") credentials.forget(organization);
      throw error;
    }
  }

  async function invoke<C extends Cmdlet>(
    organization: string,
    cmdlet: C,
    parameters: CmdletParameters[C],
  ): Promise<CmdletResult<C>[]> {
    const invocation: Invocation = {
      organization,
      cmdlet,
      url: `${endpoint}/adminapi/beta/${encodeURIComponent(organization)}/InvokeCommand`,
      body: JSON.stringify({ CmdletInput: { CmdletName: cmdlet, Parameters: parametersOf(cmdlet, parameters) } }),
      requestId: randomUUID(),
      secrets: wordsIn(parameters),
    };
    const objects: unknown[] = [];
    let url: string | undefined = invocation.url;
    for (let pages = 0; url !== undefined; pages++) {
      if (pages === MOST_PAGES)
        throw malformed(`${cmdlet} in the organisation ${organization}`, "goes on for more pages than there can be");
      // The same body again: the page is in the link.
      const { value, nextLink }: Page = await page({ ...invocation, url });
      objects.push(...value);
      if (nextLink !== undefined && new URL(nextLink, endpoint).origin !== new URL(endpoint).origin)
        throw malformed(`${cmdlet} in the organisation ${organization}`, "continues on another host, which would get our token");
      url = nextLink;
    }
    return parseResults(cmdlet, objects, `${cmdlet} in the organisation ${organization}`);
  }

  async function list<C extends ReadCmdlet>(
    organization: string,
    cmdlet: C,
    parameters: CmdletParameters[C],
  ): Promise<CmdletResult<C>[]> {
    try {
      return await invoke(organization, cmdlet, parameters);
    } catch (error) {
      if (error instanceof ControlPlaneError && error.code === "ExchangeObjectNotFound") return [];
      throw error;
    }
  }

  async function runAll<C extends WriteCmdlet>(
    organization: string,
    cmdlet: C,
    parameters: CmdletParameters[C],
  ): Promise<CmdletResult<C>[]> {
    try {
      return await invoke(organization, cmdlet, parameters);
    } catch (error) {
      // New tenants share Microsoft's default settings until the first change; the switch is thrown once and settles in minutes.
      if (
        error instanceof ControlPlaneError &&
        error.code === "ExchangeOrganizationDehydrated" &&
        cmdlet !== "Enable-OrganizationCustomization"
      )
        await invoke(organization, "Enable-OrganizationCustomization", {}).catch(unlessAlreadyEnabled);
      throw error;
    }
  }

  return {
    get: (organization, cmdlet, parameters) => observing(async () => (await list(organization, cmdlet, parameters))[0]),
    list,
    run: async (organization, cmdlet, parameters) => (await runAll(organization, cmdlet, parameters))[0],
    runAll,
  };
}

interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

interface Page {
  value: Record<string, unknown>[];
  nextLink: string | undefined;
}

function parametersOf<C extends Cmdlet>(cmdlet: C, parameters: CmdletParameters[C]): Record<string, unknown> {
  const encoded = encodeParameters(parameters, { nulls: cmdlet.startsWith("Set-") });
  // Without it Exchange only validates, answers 200 and removes nothing.
  return cmdlet.startsWith("Remove-") ? { ...encoded, Confirm: false } : encoded;
}

function read({ status, headers, text }: Answer, cmdlet: Cmdlet, doing: string, secrets: string[]): Page {
  const body = headers.get("content-type")?.includes("json") ? parsedJson(text) : undefined;
  if (status < 200 || status > 299)
    throw exchangeFailure(doing, status, hidden(refusalIn(body, headers.get("x-exceptiontype")), secrets), retryAfterOf(headers));
  // An HTML page is what a wrong address or an organisation without Exchange gives.
  if (/html/.test(headers.get("content-type") ?? ""))
    throw malformed(doing, "is a web page: does the organisation have Exchange Online?");
  const answer = text === "" ? answerSchema.safeParse({}) : answerSchema.safeParse(body);
  if (!answer.success) {
    if (!reads(cmdlet)) throw outcomeUnknown(doing, answer.error);
    throw malformed(doing, "is not what InvokeCommand answers", answer.error);
  }
  const refusal = refusalAmong(answer.data["@adminapi.errors"]);
  if (refusal) throw exchangeFailure(doing, 200, hidden(refusal, secrets), retryAfterOf(headers));
  return { value: answer.data.value.map(withoutAnnotations), nextLink: answer.data["@odata.nextLink"] };
}

function parseResults<C extends Cmdlet>(cmdlet: C, objects: unknown[], doing: string): CmdletResult<C>[] {
  const schema: z.ZodType = resultSchemas[cmdlet];
  const parsed = z.array(schema).safeParse(objects);
  if (!parsed.success) throw malformed(doing, "lacks what every such object has", parsed.error);
  return parsed.data as CmdletResult<C>[];
}

const reads = (cmdlet: Cmdlet): cmdlet is ReadCmdlet => cmdlet.startsWith("Get-");

/** A request that never left did nothing; one whose answer was lost may have done all. */
const lost =
  (cmdlet: Cmdlet, doing: string) =>
  (cause: unknown): never => {
    if (reads(cmdlet) || neverSent(cause))
      throw new ControlPlaneError("ExchangeUnreachable", `${doing}: Exchange Online does not answer`, 503, true, { cause });
    throw outcomeUnknown(doing, cause);
  };

const neverSent = (cause: unknown): boolean => {
  const inner = cause instanceof Error ? cause.cause : undefined;
  const code = typeof inner === "object" && inner !== null && "code" in inner ? String(inner.code) : "";
  return code === "ECONNREFUSED" || code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "UND_ERR_CONNECT_TIMEOUT";
};

const outcomeUnknown = (doing: string, cause: unknown): ControlPlaneError =>
  new ControlPlaneError("ExchangeOutcomeUnknown", `${doing}: the answer was lost, so it may have happened`, 503, true, { cause });

const malformed = (doing: string, what: string, cause?: unknown): ControlPlaneError =>
  new ControlPlaneError(
    "ExchangeAnswerMalformed",
    `${doing}: the answer ${what}`,
    502,
    false,
    cause === undefined ? {} : { cause },
  );

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Seconds, fractions included, or a date (RFC 9110, 10.2.3). */
export function retryAfterOf(headers: Headers): number | undefined {
  const value = headers.get("retry-after");
  if (value === null) return undefined;
  const seconds = Number.isNaN(Number(value)) ? (Date.parse(value) - Date.now()) / 1000 : Number(value);
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}

/** Continuous access evaluation: `Bearer error="insufficient_claims", claims="<base64 of JSON>"`. */
function claimsChallenge(header: string | null): string | undefined {
  const claims = /claims="([^"]+)"/.exec(header ?? "")?.[1];
  return claims === undefined ? undefined : Buffer.from(claims, "base64").toString("utf8");
}

const wordsIn = (parameters: object): string[] =>
  Object.entries(parameters).flatMap(([name, value]) =>
    name.endsWith("HeaderContainsWords") && Array.isArray(value) ? (value as string[]) : [],
  );

const hidden = (refusal: Refusal | undefined, secrets: string[]): Refusal | undefined =>
  refusal && { ...refusal, text: secrets.reduce((text, secret) => text.replaceAll(secret, "[secret]"), refusal.text) };

function unlessAlreadyEnabled(error: unknown): CmdletResult<"Enable-OrganizationCustomization">[] {
  if (error instanceof ControlPlaneError && error.details?.some(({ message }) => /already/i.test(message))) return [];
  throw error;
}
