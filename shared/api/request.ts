/** Reads what came from outside as unknown, and says of every wrong field what it is and what to do. */
import type { HttpRequest } from "@azure/functions";
import * as z from "zod";
import type { ErrorDetail } from "../errors.ts";
import { refusal } from "./error-codes.ts";
import { apiVersions } from "./routes.ts";

const LARGEST_BODY_IN_BYTES = 256 * 1024;
const MOST_DETAILS = 50;

/** Texts of the Azure REST API guidelines. */
export function parseApiVersion(query: URLSearchParams): void {
  const version = query.get("api-version");
  const supported = apiVersions.join(", ");
  if (version === null || version === "") {
    throw refusal(
      "MissingApiVersionParameter",
      `the query parameter api-version (?api-version=) is required for all requests; supported api-versions are ${supported}`,
      { target: "api-version" },
    );
  }
  if (!apiVersions.some((known) => known === version)) {
    throw refusal("UnsupportedApiVersionValue", `unsupported api-version; the supported api-versions are ${supported}`, {
      target: "api-version",
    });
  }
}

/** Params, query or headers; a route without a schema for them takes none. */
export function parsePart(
  schema: z.ZodObject | undefined,
  value: Record<string, unknown>,
  where: string,
): Record<string, unknown> {
  return read(schema ?? NOTHING, value, where);
}

/** Made once: to make a schema takes longer than to read with it. */
const NOTHING = z.strictObject({});

export async function parseBody(schema: z.ZodType, request: HttpRequest, optional: boolean): Promise<unknown> {
  const text = await readText(request);
  if (text === "" && optional) return read(schema, {}, "the body");
  const contentType = request.headers.get("content-type") ?? "";
  if (!/^application\/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?$/i.test(contentType)) {
    throw refusal("UnsupportedMediaType", "the body must be application/json", { target: "Content-Type" });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw refusal("InvalidRequest", "the body is not valid JSON", { target: "body", cause });
  }
  return read(schema, value, "the body");
}

async function readText(request: HttpRequest): Promise<string> {
  if (Number(request.headers.get("content-length") ?? 0) > LARGEST_BODY_IN_BYTES) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of request.body ?? []) {
    const bytes = chunk as Uint8Array;
    size += bytes.byteLength;
    if (size > LARGEST_BODY_IN_BYTES) throw tooLarge();
    chunks.push(bytes);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw refusal("InvalidRequest", "the body is not UTF-8", { target: "body", cause });
  }
}

const tooLarge = () => refusal("PayloadTooLarge", `the body must be at most ${LARGEST_BODY_IN_BYTES} bytes`, { target: "body" });

function read<Output>(schema: z.ZodType<Output>, value: unknown, where: string): Output {
  const parsed = schema.safeParse(value, { error: inPlainWords });
  if (parsed.success) return parsed.data;
  const details = parsed.error.issues.flatMap(detailsOf).slice(0, MOST_DETAILS);
  throw refusal("InvalidRequest", `${where} has invalid fields`, { details });
}

/** What a field has to be, where its schema has no words of its own for it. */
const inPlainWords: z.core.$ZodErrorMap = (issue) => {
  if (issue.code === "invalid_value") return `must be ${issue.values.length === 1 ? "" : "one of "}${issue.values.join(", ")}`;
  if (issue.code !== "invalid_type") return undefined;
  const wanted = namesOfTypes[issue.expected] ?? issue.expected;
  return issue.input === undefined ? `is missing, and must be ${wanted}` : `must be ${wanted}`;
};

const namesOfTypes: Partial<Record<string, string>> = {
  string: "a string",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "an array",
  object: "an object",
  record: "an object",
};

/** One detail a field: its path as the caller wrote it, and what it has to be. */
function detailsOf(issue: z.core.$ZodIssue): ErrorDetail[] {
  const path = pathOf(issue.path);
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      code: "UnknownField",
      target: pathOf([...issue.path, key]),
      message: "is not known here; remove it or correct its spelling",
    }));
  }
  return [{ code: "InvalidField", target: path === "" ? "body" : path, message: lowerFirst(issue.message) }];
}

const pathOf = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (text, part) => (typeof part === "number" ? `${text}[${part}]` : text === "" ? String(part) : `${text}.${String(part)}`),
    "",
  );

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);
