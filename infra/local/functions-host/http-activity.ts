/** The extension's built-in activity behind `callHttp` (TaskHttpActivityShim.cs), and its polling of answers 202. */

import type { HttpCall } from "./actions.ts";

export const HTTP_ACTIVITY = "BuiltIn::HttpActivity";

/** `defaultAsyncRequestSleepTimeMilliseconds` of host.json has this default. */
export const HTTP_POLLING_INTERVAL = 30_000;

interface HttpAnswer {
  statusCode: number;
  headers: Record<string, string>;
  content: string;
}

/** @throws Error for a server that can't be reached; every answer, also a 500, is a result */
export async function runHttpActivity({ method, uri, content, headers = {}, tokenSource }: HttpCall): Promise<HttpAnswer> {
  if (tokenSource) throw new Error("this host has no tokens of a managed identity for callHttp");
  const body = content === undefined || method === "GET" ? {} : { body: content };
  const response = await fetch(uri, { method, headers, redirect: "manual", ...body });
  return { statusCode: response.status, headers: Object.fromEntries(response.headers), content: await response.text() };
}

export interface PolledResponse {
  statusCode: number;
  location: string | undefined;
  retryAfterInSeconds: number | undefined;
}

/** @param result JSON text of the activity's result */
export function responseIn(result: unknown): PolledResponse {
  const { statusCode, headers } = JSON.parse(result as string) as HttpAnswer;
  const header = (wanted: string): string | undefined =>
    Object.entries(headers).find(([name]) => name.toLowerCase() === wanted)?.[1];
  const retryAfter = header("retry-after");
  const retryAfterInSeconds = retryAfter === undefined ? undefined : Number(retryAfter);
  return { statusCode, location: header("location"), retryAfterInSeconds };
}

/** The extension asks the `Location` with the request's headers; a relative one is below the request's address. */
export const pollingRequest = ({ uri, headers, tokenSource }: HttpCall, location: string): HttpCall => ({
  method: "GET",
  uri: new URL(location, uri).href,
  ...(headers ? { headers } : {}),
  ...(tokenSource ? { tokenSource } : {}),
  asynchronousPatternEnabled: true,
});
