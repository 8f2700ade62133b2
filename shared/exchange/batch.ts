/**
 * Reads of one organisation in as few requests as can be. Only reads: Exchange promises no order among the parts of a batch, and says of
 * each for itself how it went, so a part that fails leaves its own read unknown and no other.
 */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";
import { observing } from "../resources/observing.ts";
import { type Present, present, type Unknown } from "../resources/resource.ts";
import { pageOfPart, resultsIn } from "./answers.ts";
import type { CmdletParameters, CmdletResult, ReadCmdlet } from "./cmdlets.ts";
import { encodeParameters } from "./encoding.ts";
import { batchHeaders, cmdletHeaders, malformed, type Wire } from "./wire.ts";

/** One read; made by `read`, so that cmdlet and parameters fit. */
export interface Read<C extends ReadCmdlet = ReadCmdlet> {
  cmdlet: C;
  parameters: CmdletParameters[C];
}

export const read = <C extends ReadCmdlet>(cmdlet: C, parameters: CmdletParameters[C]): Read<C> => ({ cmdlet, parameters });

/** All that match, perhaps none; or why it can't be told. */
export type AllRead<C extends ReadCmdlet> = Present<CmdletResult<C>[]> | Unknown;

export type ReadResults<Reads extends Record<string, Read>> = { [Name in keyof Reads]: AllRead<Reads[Name]["cmdlet"]> };

/** The module's and every other client's limit: Exchange refuses more. */
const MOST_PARTS = 10;
const MOST_PAGES = 100;

const answerSchema = z.object({
  responses: z.array(
    z.object({
      id: z.coerce.string(),
      status: z.number(),
      headers: z.record(z.string(), z.coerce.string()).nullish(),
      body: z.unknown(),
    }),
  ),
});

interface Asking {
  name: string;
  cmdlet: ReadCmdlet;
  doing: string;
  url: string;
  body: unknown;
  pages: number;
  found: Record<string, unknown>[];
}

export async function readTogether<Reads extends Record<string, Read>>(
  wire: Wire,
  organization: string,
  reads: Reads,
): Promise<ReadResults<Reads>> {
  const results = new Map<string, AllRead<ReadCmdlet>>();
  let asking = Object.entries(reads).map(([name, { cmdlet, parameters }]): Asking => {
    const input = { CmdletName: cmdlet, Parameters: encodeParameters(parameters, { nulls: false }) };
    const doing = `${cmdlet} in the organisation ${organization}`;
    const url = wire.url(organization, "InvokeCommand");
    return { name, cmdlet, doing, url, body: { CmdletInput: input }, pages: 0, found: [] };
  });
  while (asking.length > 0) {
    const now = asking.slice(0, MOST_PARTS);
    const goingOn: Asking[] = [];
    const answers = await observing(() => posted(wire, organization, now));
    for (const one of now) {
      const result = await observing(async () => {
        if (answers.state !== "present") throw failed(answers.state === "unknown" ? answers.reason : missing);
        const answer = answers.actual.get(one.name);
        if (!answer) throw malformed(one.doing, "is missing in the batch");
        const { value, nextLink } = pageOfPart(answer, { doing: one.doing, reads: true, secrets: [] });
        one.found.push(...value);
        if (nextLink === undefined) return resultsIn(one.cmdlet, one.found, one.doing);
        if (++one.pages === MOST_PAGES) throw malformed(one.doing, "goes on for more pages than there can be");
        goingOn.push({ ...one, url: wire.followable(nextLink, one.doing) });
        return undefined;
      });
      if (result.state === "present") results.set(one.name, present(result.actual));
      else if (result.state === "unknown") results.set(one.name, noneIfAbsent(result));
    }
    asking = [...asking.slice(MOST_PARTS), ...goingOn];
  }
  return Object.fromEntries(results) as ReadResults<Reads>;
}

/** What Exchange says it doesn't know is none; whatever else it says tells nothing. */
const noneIfAbsent = (result: Unknown): AllRead<ReadCmdlet> =>
  result.reason.code === "ExchangeObjectNotFound" ? present([]) : result;

const missing = { code: "ExchangeAnswerMalformed", message: "the batch has no answer" };
const failed = ({ code, message }: Unknown["reason"]): ControlPlaneError => new ControlPlaneError(code, message, 503, true);

type Answered = Map<string, { status: number; headers: Record<string, string>; body?: unknown }>;

async function posted(wire: Wire, organization: string, asking: Asking[]): Promise<Answered> {
  const doing = `${asking.map(({ cmdlet }) => cmdlet).join(", ")} in the organisation ${organization}`;
  const answer = await wire.post({
    organization,
    url: wire.url(organization, "$batch"),
    headers: batchHeaders(organization),
    requestId: randomUUID(),
    doing,
    reads: true,
    body: JSON.stringify({
      requests: asking.map(({ name, cmdlet, url, body }) => ({
        id: name,
        method: "POST",
        url,
        headers: cmdletHeaders(organization, cmdlet),
        body,
      })),
    }),
  });
  const { status, headers, text } = answer;
  // A batch that is refused as a whole is refused in the words of any other request.
  if (status < 200 || status > 299)
    pageOfPart({ status, headers: Object.fromEntries(headers), body: parsed(text) }, { doing, reads: true, secrets: [] });
  const batch = answerSchema.safeParse(parsed(text));
  if (!batch.success) throw malformed(doing, "is not what a batch answers", batch.error);
  return new Map(batch.data.responses.map(({ id, headers: given, ...rest }) => [id, { ...rest, headers: given ?? {} }]));
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
