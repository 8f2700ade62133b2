/** ETags on the wire are strong; Table Storage's are weak, which RFC 9110 forbids in If-Match, so ours wrap theirs. */

const STRONG = /^"([A-Za-z0-9_-]+)"$/;

/** `W/"datetime'…'"` as Table Storage gives it → `"<base64url>"`. */
export const strongETag = (stored: string): string => `"${Buffer.from(stored).toString("base64url")}"`;

/** What `If-Match` and `If-None-Match` say: anything at all, or one of these (as Table Storage writes them). */
export type Condition = "any" | string[];

/** `undefined` when the header is absent. A tag that isn't ours matches nothing, as RFC 9110 wants. */
export function parseCondition(header: string | null): Condition | undefined {
  if (header === null) return undefined;
  const tags = header.split(",").map((tag) => tag.trim());
  if (tags.includes("*")) return "any";
  return tags
    .map((tag) => STRONG.exec(tag)?.[1])
    .map((encoded) => (encoded === undefined ? "" : Buffer.from(encoded, "base64url").toString()));
}

export const holds = (condition: Condition, stored: string | undefined): boolean =>
  stored !== undefined && (condition === "any" || condition.includes(stored));
