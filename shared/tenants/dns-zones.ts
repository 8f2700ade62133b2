/** Which of the zones that a spec names a domain is in. */

/** The nearest; zones are resource ids in Azure. */
export const zoneOf = (zones: string[], domain: string): string | undefined =>
  zones
    .filter((id) => `.${domain}`.endsWith(`.${zoneName(id)}`))
    .toSorted((one, other) => zoneName(other).length - zoneName(one).length)[0];

const zoneName = (id: string): string => (id.split("/").at(-1) ?? "").toLowerCase();
