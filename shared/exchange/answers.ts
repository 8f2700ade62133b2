/** What an answer of InvokeCommand says: objects and where they go on, warnings, or a refusal, which can hide in a 200. */
import * as z from "zod";
import { retryAfterOf } from "../retry-after.ts";
import { type Cmdlet, type CmdletResult, resultSchemas } from "./cmdlets.ts";
import { withoutAnnotations } from "./encoding.ts";
import { exchangeFailure, type Refusal, refusalAmong, refusalIn, unheeded } from "./failures.ts";
import { type Answer, malformed, outcomeUnknown } from "./wire.ts";

export interface Page {
  value: Record<string, unknown>[];
  nextLink: string | undefined;
  /** What Exchange did otherwise than it was told, in its words. */
  warnings: string[];
}

/** What an answer is an answer to. */
export interface Question {
  doing: string;
  reads: boolean;
  /** What must not be seen in an error: words that a rule looks for are the tenant's loop GUID. */
  secrets: string[];
}

const answerSchema = z.looseObject({
  value: z.array(z.record(z.string(), z.unknown())).default([]),
  "@odata.nextLink": z.string().optional(),
  "@adminapi.errors": z.unknown().optional(),
  "@adminapi.warnings": z.array(z.string()).nullish().catch(undefined),
});

export function pageIn({ status, headers, text }: Answer, question: Question): Page {
  const type = headers.get("content-type") ?? "";
  const body = type.includes("json") ? parsedJson(text) : undefined;
  if (status < 200 || status > 299) throw failure(status, refusalIn(body, headers.get("x-exceptiontype")), headers, question);
  return pageOf(text === "" ? {} : body, headers, question, type.includes("html"));
}

/** Of one request in a batch: its body is JSON already, and its headers may be missing. */
export function pageOfPart({ status, headers, body }: Part, question: Question): Page {
  const given = new Headers(headers);
  if (status < 200 || status > 299) throw failure(status, refusalIn(body, given.get("x-exceptiontype")), given, question);
  return pageOf(body, given, question, false);
}

export interface Part {
  status: number;
  headers: Record<string, string>;
  body?: unknown;
}

function pageOf(body: unknown, headers: Headers, question: Question, html: boolean): Page {
  const { doing, reads, secrets } = question;
  const answer = answerSchema.safeParse(body);
  if (!answer.success) {
    if (!reads) throw outcomeUnknown(doing, answer.error);
    // An HTML page is what a wrong address or an organisation without Exchange gives.
    if (html) throw malformed(doing, "is a web page: does the organisation have Exchange Online?");
    throw malformed(doing, "is not what InvokeCommand answers", answer.error);
  }
  const { value, "@odata.nextLink": nextLink, "@adminapi.errors": errors, "@adminapi.warnings": warnings } = answer.data;
  const refusal = refusalAmong(errors);
  if (refusal) throw failure(200, refusal, headers, question);
  const told = (warnings ?? []).map((warning) => without(warning, secrets));
  // A write that was taken and not done: doing it again gives the same warning.
  const ignored = reads ? undefined : unheeded(doing, told);
  if (ignored) throw ignored;
  return { value: value.map(withoutAnnotations), nextLink, warnings: told };
}

export function resultsIn<C extends Cmdlet>(cmdlet: C, objects: unknown[], doing: string): CmdletResult<C>[] {
  const schema: z.ZodType = resultSchemas[cmdlet];
  const parsed = z.array(schema).safeParse(objects);
  if (!parsed.success) throw malformed(doing, "lacks what every such object has", parsed.error);
  return parsed.data as CmdletResult<C>[];
}

const failure = (status: number, refusal: Refusal | undefined, headers: Headers, { doing, secrets }: Question) =>
  exchangeFailure(doing, status, refusal && { ...refusal, text: without(refusal.text, secrets) }, retryAfterOf(headers));

const without = (text: string, secrets: string[]): string =>
  secrets.reduce((left, secret) => left.replaceAll(secret, "[secret]"), text);

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
