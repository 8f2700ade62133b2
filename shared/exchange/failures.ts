/** What Exchange Online's refusals mean: classified by exception type, since sentences change with version and language. */
import { ControlPlaneError } from "../errors.ts";

export interface FailureClass {
  code: string;
  status: number;
  transient: boolean;
  phrase: string;
}

const busy: FailureClass = { code: "ExchangeBusy", status: 503, transient: true, phrase: "Exchange Online asks to wait" };
const roleMissing: FailureClass = {
  code: "ExchangeRoleMissing",
  status: 403,
  // A role that was just given takes minutes to reach Exchange.
  transient: true,
  phrase: "our application may not run this cmdlet (yet): it needs Exchange.ManageAsApp and an Exchange role in the organisation",
};
const notFound: FailureClass = {
  code: "ExchangeObjectNotFound",
  status: 404,
  transient: false,
  phrase: "Exchange Online knows no such object",
};
const exists: FailureClass = {
  code: "ExchangeObjectExists",
  status: 409,
  // Either our own earlier write, not visible in reads yet, or a stranger's object: the next observation tells.
  transient: true,
  phrase: "Exchange Online already has an object of this name",
};
const dehydrated: FailureClass = {
  code: "ExchangeOrganizationDehydrated",
  status: 503,
  transient: true,
  phrase: "the organisation's customisation is being switched on",
};
const refused: FailureClass = { code: "ExchangeRefused", status: 502, transient: false, phrase: "Exchange Online refused" };
const unauthorized: FailureClass = {
  code: "ExchangeUnauthorized",
  status: 502,
  transient: false,
  phrase: "Exchange Online refused our token",
};

/** By part of the exception's type name, in this order. Sources: the official module's and M365Permissions' lists of transient exceptions. */
const byException: [part: string, meaning: FailureClass][] = [
  ["DCOverloadedException", busy],
  ["SuitabilityDirectoryException", busy],
  ["ServerInMMException", busy],
  ["ADServerSettingsChangedException", busy],
  ["StorageTransientException", busy],
  ["CmdletProxyNotAvailableFailure", busy],
  ["ServerBusyException", busy],
  ["TransientException", busy],
  ["BackendCommunicationException", busy],
  ["ManagementObjectNotFoundException", notFound],
  ["AlreadyExistsException", exists],
  ["DehydratedException", dehydrated],
];

/**
 * What Exchange says in a warning beside a 200 when it has not done what it was told. "Inbound connector FAQ": in trial, new and restricted
 * organisations an inbound connector is made disabled and stays so until Microsoft's support enables it.
 */
const byWarning: [sentence: RegExp, meaning: FailureClass][] = [
  [
    /disabled state|contact support to enable/i,
    {
      code: "InboundConnectorHeldBack",
      status: 409,
      transient: false,
      phrase:
        "Microsoft keeps inbound connectors of this organisation disabled; have Microsoft's support enable them for it, then onboard again",
    },
  ],
];

/** Only where no exception type tells them apart. */
const bySentence: [sentence: RegExp, meaning: FailureClass][] = [
  [/is not allowed to call|is not present in the role definition of the current user/i, roleMissing],
  [/dehydrated|Enable-OrganizationCustomization/i, dehydrated],
  [/already exists/i, exists],
];

/** What the answer says went wrong: `<string id>|<exception type>|<text>`, or the parts that there are. */
export interface Refusal {
  exception: string;
  text: string;
}

/** By the module's order: the first detail, the inner exception, the inner error, the error itself. */
export function refusalIn(body: unknown, exceptionHeader: string | null): Refusal | undefined {
  const error = part(body, "error");
  if (error === undefined) return undefined;
  const inner = part(error, "innererror") ?? part(error, "innerError");
  const details = part(error, "details");
  const texts = [
    part(Array.isArray(details) ? details[0] : undefined, "message"),
    part(part(inner, "internalexception"), "message"),
    part(inner, "message"),
    part(error, "message"),
    error,
  ].filter((text): text is string => typeof text === "string" && text !== "");
  const types = [part(part(inner, "internalexception"), "type"), part(inner, "type"), exceptionHeader, part(error, "code")];
  return refusalFrom(texts[0] ?? "", types.filter((type): type is string => typeof type === "string").join(" "));
}

/** `@adminapi.errors` of a 200: a cmdlet that failed after it had begun to answer. */
export function refusalAmong(errors: unknown): Refusal | undefined {
  const all = Array.isArray(errors) ? errors : errors === undefined || errors === null ? [] : [errors];
  if (all.length === 0) return undefined;
  const [first] = all as unknown[];
  return refusalIn({ error: first }, null) ?? refusalFrom(JSON.stringify(first), "");
}

function refusalFrom(message: string, types: string): Refusal {
  const [, exception, ...rest] = message.split("|");
  return exception === undefined
    ? { exception: types, text: message }
    : { exception: `${exception} ${types}`, text: rest.join("|").trim() };
}

/** `undefined` status: the answer was a 200 with errors in it. */
export function classify(status: number, refusal: Refusal | undefined): FailureClass {
  for (const [name, meaning] of byException) if (refusal?.exception.includes(name)) return meaning;
  for (const [sentence, meaning] of bySentence) if (refusal && sentence.test(refusal.text)) return meaning;
  if (status === 401) return unauthorized;
  if (status === 403) return roleMissing;
  if (status === 429 || status === 502 || status === 503 || status === 504) return busy;
  // A 404 alone is a wrong address or a route that is gone: only the exception says that the object is absent.
  return refused;
}

/** A write that was taken and not done. */
export function unheeded(doing: string, warnings: string[]): ControlPlaneError | undefined {
  for (const warning of warnings)
    for (const [sentence, { code, status, transient, phrase }] of byWarning)
      if (sentence.test(warning))
        return new ControlPlaneError(code, `${doing}: ${phrase}`, status, transient, { details: [{ code, message: warning }] });
  return undefined;
}

export function exchangeFailure(
  doing: string,
  status: number,
  refusal: Refusal | undefined,
  retryAfterInSeconds: number | undefined,
): ControlPlaneError {
  const { code, status: answer, transient, phrase } = classify(status, refusal);
  // Exchange's own sentence is worth showing only where it isn't understood; it names objects, never a parameter's value.
  const sentence = code === "ExchangeRefused" ? `: ${refusal?.text || `HTTP ${status}`}` : "";
  return new ControlPlaneError(code, `${doing}: ${phrase}${sentence}`, answer, transient, {
    retryAfterInSeconds,
    ...(refusal ? { details: [{ code: refusal.exception || code, message: refusal.text }] } : {}),
  });
}

const part = (value: unknown, name: string): unknown =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>)[name] : undefined;
