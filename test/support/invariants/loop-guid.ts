/** 2: one loop GUID, made once unless it is rotated, kept in the vault, and no other value in a rule. The record shows vault secrets as redacted. */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { cmdletsOf, pathOf, tookEffect, type Violation, type Watched, words } from "./record.ts";

/** A rotation says of which generation it is: two are accepted meanwhile. */
const rotated = (body: unknown): boolean =>
  (body as { tags?: Record<string, string> } | null)?.tags?.["gatehouse-generation"] !== undefined;

export function moreThanOneGuid(record: Exchange[], { organization }: Watched): Violation[] {
  const written = record.filter((exchange) => exchange.cloud === "vault" && tookEffect(exchange));
  const putTo = Map.groupBy(
    written.filter(
      ({ method, url, requestBody }) => method === "PUT" && pathOf(url).endsWith("/secrets/loop-guid") && !rotated(requestBody),
    ),
    ({ url }) => pathOf(url),
  );
  const twice = [...putTo].flatMap(([path, puts]): Violation[] => {
    // Of writers that met, all but one have switched their own version off.
    const switchedOff = written.filter(({ method, url }) => method === "PATCH" && pathOf(url).startsWith(`${path}/`)).length;
    const surplus = puts[1 + switchedOff];
    return surplus ? [{ invariant: 2, seq: surplus.seq, what: `a second loop GUID was made in ${path}` }] : [];
  });
  const foreign = cmdletsOf(record, organization).flatMap(({ seq, parameters }): Violation[] => {
    const marks = [...words(parameters["ExceptIfHeaderContainsWords"]), ...words(parameters["HeaderContainsWords"])];
    const bad = marks.filter((word) => word !== "[redacted]");
    return bad.length === 0 ? [] : [{ invariant: 2, seq, what: "a rule has a loop GUID that no vault has" }];
  });
  return [...twice, ...foreign];
}
