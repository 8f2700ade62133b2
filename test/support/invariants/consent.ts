/** 7: nothing is written to Graph or Exchange before a token of that tenant was had and the declared domains were seen verified there. */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { answered, pathOf, tookEffect, type Violation, type Watched } from "./record.ts";

export function writesBeforeConsent(record: Exchange[], { organization, domains }: Watched): Violation[] {
  const token = record.find(
    (exchange) =>
      exchange.cloud === "entra" &&
      exchange.method === "POST" &&
      pathOf(exchange.url).includes(`/${organization.toLowerCase()}/oauth2/v2.0/token`) &&
      answered(exchange),
  );
  const verified = record.find(
    (exchange) =>
      exchange.cloud === "graph" &&
      exchange.method === "GET" &&
      exchange.tenant === organization &&
      pathOf(exchange.url).endsWith("/v1.0/domains") &&
      answered(exchange) &&
      showsVerified(exchange.responseBody, domains),
  );
  const proven = token && verified ? Math.max(token.seq, verified.seq) : Number.POSITIVE_INFINITY;
  const there = ({ cloud, tenant, url }: Exchange): boolean =>
    (cloud === "graph" || (cloud === "exchange" && url.startsWith("https:"))) && tenant === organization;
  return record
    .filter((exchange) => there(exchange) && tookEffect(exchange) && exchange.seq < proven)
    .map(({ seq, cloud, method, url }) => ({
      invariant: 7,
      seq,
      what: `${cloud} was written before consent was proven: ${method} ${pathOf(url)}`,
    }));
}

function showsVerified(body: unknown, domains: string[]): boolean {
  const { value = [] } = (body ?? {}) as { value?: { id?: string; isVerified?: boolean }[] };
  return domains.every((domain) => value.some(({ id, isVerified }) => id?.toLowerCase() === domain && isVerified));
}
