/** Paging links: absolute, opaque, and good only for the caller and the query that they were made for. */
import { createHash } from "node:crypto";
import type { Page } from "../stores/table.ts";
import { refusal } from "./error-codes.ts";
import type { Signer } from "./signing.ts";

const PURPOSE = "page";
const LIFETIME_IN_SECONDS = 24 * 60 * 60;
const DEFAULT_PAGE_SIZE = 50;

export interface PageQuery {
  maxpagesize?: number | undefined;
  skipToken?: string | undefined;
}

export interface PageRequest {
  pageSize: number;
  /** Where the store goes on; its own continuation. */
  after?: string;
}

export interface PagingContext {
  signer: Signer;
  /** Absolute URL of this request as the caller knows it, query included. */
  url: URL;
  /** Who may follow the link. */
  audience: string;
}

/** Reads the page that is asked for; a link of another caller or another query is an invalid request. */
export async function parsePage(
  { maxpagesize, skipToken }: PageQuery,
  { signer, url, audience }: PagingContext,
): Promise<PageRequest> {
  const pageSize = maxpagesize ?? DEFAULT_PAGE_SIZE;
  if (skipToken === undefined) return { pageSize };
  const signed = await signer.verify(skipToken, PURPOSE);
  if (typeof signed?.after !== "string" || signed.bound !== binding(url, audience)) {
    throw refusal("InvalidRequest", "the request has invalid fields", {
      details: [
        {
          code: "InvalidField",
          target: "skipToken",
          message: "is not part of a nextLink for this query, or is too old; begin with the first page",
        },
      ],
    });
  }
  return { pageSize, after: signed.after };
}

/** The body of a list's answer. */
export async function pageBody<Stored, Shown>(
  { items, next }: Page<Stored>,
  show: (item: Stored) => Shown,
  { signer, url, audience }: PagingContext,
): Promise<{ value: Shown[]; nextLink?: string }> {
  const value = items.map(show);
  if (next === undefined) return { value };
  const link = new URL(url);
  link.searchParams.set(
    "skipToken",
    await signer.sign({ after: next, bound: binding(url, audience) }, PURPOSE, LIFETIME_IN_SECONDS),
  );
  return { value, nextLink: link.href };
}

/** Path and query without what may differ from page to page. */
function binding(url: URL, audience: string): string {
  const query = [...url.searchParams]
    .filter(([name]) => name !== "skipToken" && name !== "maxpagesize")
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash("sha256")
    .update(JSON.stringify([audience, url.pathname, query]))
    .digest("base64url");
}
