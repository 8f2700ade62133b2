/** One form for what Exchange Online shows in several, so that only real differences count. */

/** Order, case and repetition mean nothing in a multi-valued property. */
export const canonicalList = (values: readonly string[] | null | undefined): string[] =>
  [...new Set((values ?? []).map((value) => value.trim().toLowerCase()))].sort();

/** `203.0.113.7/32` is `203.0.113.7`. */
export const canonicalAddresses = (values: readonly string[] | null | undefined): string[] =>
  canonicalList((values ?? []).map((value) => value.trim().replace(/\/32$/, "")));

/** Exchange stores `contoso.example` as `smtp:contoso.example;1`: address type and cost (Microsoft365DSC issue 2180). */
export const canonicalSenderDomains = (values: readonly string[] | null | undefined): string[] =>
  canonicalList(
    (values ?? []).map((value) =>
      value
        .trim()
        .replace(/^smtp:/i, "")
        .replace(/;1$/, ""),
    ),
  );

/** An address as smart host comes back in brackets. */
export const canonicalSmartHosts = (values: readonly string[] | null | undefined): string[] =>
  canonicalAddresses(
    (values ?? []).map((value) =>
      value
        .trim()
        .replace(/^\[(.*)\]$/, "$1")
        .replace(/\.$/, ""),
    ),
  );

/** Null, empty and missing are the same; a switch that was never set is off. */
export const canonicalFlag = (value: boolean | null | undefined): boolean => value ?? false;
export const canonicalText = (value: string | null | undefined): string | null =>
  value === undefined || value === "" ? null : value;

/** Bytes of `35 MB (36,700,160 bytes)`, of `35 MB`, or of a number: Exchange shows a size in words and in bytes. */
export function canonicalSize(value: string | number | null | undefined): number | null {
  if (value === null || value === undefined || value === "") return null;
  const [, bytes] = /\(([\d,.\s]+) bytes\)/i.exec(String(value)) ?? [];
  if (bytes !== undefined) return Number(bytes.replaceAll(/\D/g, ""));
  const [, number = "", unit = "B"] = /^\s*([\d.]+)\s*(B|KB|MB|GB)?\s*$/i.exec(String(value)) ?? [];
  return Number(number) * 1024 ** ["B", "KB", "MB", "GB"].indexOf(unit.toUpperCase());
}

/** `"-1"` and `-1` are the same spam confidence level. */
export const canonicalLevel = (value: string | number | null | undefined): string | null =>
  value === null || value === undefined || value === "" ? null : String(value);
