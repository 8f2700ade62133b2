/** How long a server wants to be left alone, by its header `Retry-After`. */

/** Seconds, fractions included and rounded up, or a date (RFC 9110, 10.2.3); undefined where it is neither. */
export function retryAfterOf(headers: Pick<Headers, "get">): number | undefined {
  const value = headers.get("retry-after");
  if (value === null) return undefined;
  const seconds = Number.isNaN(Number(value)) ? (Date.parse(value) - Date.now()) / 1000 : Number(value);
  return Number.isFinite(seconds) ? Math.max(0, Math.ceil(seconds)) : undefined;
}
