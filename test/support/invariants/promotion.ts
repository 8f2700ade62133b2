/**
 * 5: mail of whole domains goes to no gateway that is listed or not well: a machine that the clouds last showed stopped, an address that
 * a blocklist last had, a gateway that Exchange Online last could not talk to.
 */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { type Azure, createAzure } from "./azure.ts";
import { createObjects, enabled, everybody, forwards, type Known } from "./objects.ts";
import { answered, cmdletOf, pathOf, type Violation, type Watched } from "./record.ts";
import { validated } from "./scope-before-proof.ts";

export function promotedUnwell(record: Exchange[], { organization, subscriptionId }: Watched): Violation[] {
  const rules = createObjects("TransportRule");
  const azure = createAzure(subscriptionId);
  const listed = new Set<string>();
  const power = new Map<string, string>();
  let unreachable = false;
  const wide = (rule: Known): boolean => forwards(rule) && enabled(rule) && everybody(rule);
  return record.flatMap((exchange): Violation[] => {
    azure.take(exchange);
    noteListing(listed, exchange);
    for (const [machine, state] of powerShown(exchange, subscriptionId)) power.set(machine, state);
    const cmdlet = cmdletOf(exchange, organization);
    if (!cmdlet) return [];
    if (cmdlet.name === "Validate-OutboundConnector" && answered(exchange)) unreachable = !validated(cmdlet.value);
    const before = rules.all().filter(wide);
    const rule = rules.take(cmdlet);
    if (!rule || !wide(rule) || before.includes(rule)) return [];
    const wrong = [
      ...listedOf(azure, subscriptionId, listed),
      ...[...power].flatMap(([machine, state]) => (state === "running" ? [] : [`${machine.split("/").at(-1)} was ${state}`])),
      ...(unreachable ? ["Exchange Online could not talk to the gateway"] : []),
    ];
    return wrong.map((what) => ({
      invariant: 5,
      seq: exchange.seq,
      what: `everybody's mail was sent to the gateway while ${what}`,
    }));
  });
}

const listedOf = (azure: Azure, subscriptionId: string, listed: Set<string>): string[] => {
  const own = azure.egressIn(`/subscriptions/${subscriptionId.toLowerCase()}`);
  return [...listed].flatMap((one) => {
    const [address = "", list] = one.split(" ");
    return own.includes(address) ? [`${list} had ${address}`] : [];
  });
};

/** RFC 5782: the address reversed under the list's name; 127.255.255.x says that the list does not answer. */
function noteListing(listed: Set<string>, { cloud, url, status, responseBody }: Exchange): void {
  const [, reversed, list] = /^dns:(\d+\.\d+\.\d+\.\d+)\.(.+)\?type=A$/.exec(url) ?? [];
  if (cloud !== "dns" || !reversed || !list) return;
  const entry = `${reversed.split(".").toReversed().join(".")} ${list}`;
  const codes = (Array.isArray(responseBody) ? responseBody : []).map(String);
  if (codes.some((code) => code.startsWith("127.") && !code.startsWith("127.255.255."))) listed.add(entry);
  else if (status === NXDOMAIN) listed.delete(entry);
}
const NXDOMAIN = 3;

/** Machines that an answer of Azure shows, by their ids in lower case; one that is taken away is shown as gone. */
function powerShown(exchange: Exchange, subscriptionId: string): [string, string][] {
  if (exchange.cloud !== "arm" || !answered(exchange)) return [];
  const found: [string, string][] = [];
  const look = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const { id } = value as { id?: unknown };
    const machine = typeof id === "string" ? id.toLowerCase() : "";
    const state = /PowerState\/(\w+)/.exec(JSON.stringify(value))?.[1];
    if (
      state &&
      /\/virtualmachines\/[^/]+$/.test(machine) &&
      machine.startsWith(`/subscriptions/${subscriptionId.toLowerCase()}/`)
    )
      found.push([machine, state]);
    else Object.values(value).forEach(look);
  };
  look(exchange.responseBody);
  const path = pathOf(exchange.url);
  if (exchange.method === "DELETE" && /\/virtualmachines\/[^/]+$/.test(path)) found.push([path, "running"]);
  return found;
}
