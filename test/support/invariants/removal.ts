/**
 * 6: the rule goes first, mails are seen to go round the gateway, its queue is empty, and only then connectors and machines go. While a
 * rule sends mail to a gateway, everything that names addresses has all from which that mail may come back, whatever is being changed;
 * and no address is given back to Azure while it is still accepted.
 */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { createAzure } from "./azure.ts";
import { approves, beyond, createObjects, enabled, forwards, type Known } from "./objects.ts";
import { type Cmdlet, cmdletOf, pathOf, probesShown, tookEffect, type Violation, type Watched, words } from "./record.ts";

export function removedTooEarly(record: Exchange[], { organization, probeMailbox, subscriptionId }: Watched): Violation[] {
  const azure = createAzure(subscriptionId);
  const rules = createObjects("TransportRule");
  const inbound = createObjects("InboundConnector");
  const outbound = createObjects("OutboundConnector");
  const filtered = new Set<string>();
  const mail = createMailInGateways();
  /** Since when nobody's mail is sent to the gateway that was before, and whether mails were seen to go round it. */
  let stopped: { seen: boolean; sent: Set<string> } | undefined;
  let incomplete: string[] = [];

  const forwarding = (): Known[] => rules.all().filter((rule) => forwards(rule) && enabled(rule));
  const wide = (): boolean => forwarding().some((rule) => beyond(probeMailbox, rule));
  const smartHosts = (): string[] => {
    const used = new Set(forwarding().flatMap(({ settings }) => words(settings["RouteMessageOutboundConnector"])));
    return outbound
      .all()
      .filter(({ names }) => [...names].some((name) => used.has(name)))
      .flatMap(({ settings }) => words(settings["SmartHosts"]));
  };

  /** What lacks an address from which the gateway's mail comes; nothing while no mail is sent there. */
  function lacking(): string[] {
    const ways = forwarding();
    if (ways.length === 0) return [];
    const hosts = smartHosts();
    if (hosts.length === 0) return ["there is no outbound connector for it"];
    const header = words(ways[0]?.settings["ExceptIfHeaderContainsMessageHeader"])[0];
    const guards = rules.all().filter(({ settings }) => {
      const exempt = words(settings["ExceptIfSenderIpRanges"]);
      return exempt.length > 0 && words(settings["RemoveHeader"])[0] === header;
    });
    const approvals = rules.all().filter((rule) => approves(rule) && words(rule.settings["SenderIpRanges"]).length > 0);
    const addressed = inbound.all().filter(({ settings }) => words(settings["SenderIPAddresses"]).length > 0);
    const named = (objects: Known[], by: string): Set<string> =>
      new Set(objects.filter(enabled).flatMap(({ settings }) => words(settings[by]).map((one) => one.replace(/\/32$/, ""))));
    const places: [string, Set<string> | undefined][] = [
      ["the guard rule", named(guards, "ExceptIfSenderIpRanges")],
      ["the approval rule", named(approvals, "SenderIpRanges")],
      // One that knows the gateway by its certificate names no address.
      [
        "the inbound connector",
        inbound.all().length > 0 && addressed.length === 0 ? undefined : named(addressed, "SenderIPAddresses"),
      ],
    ];
    const egress = hosts.flatMap(azure.egressOf);
    return places.flatMap(([place, has]) =>
      egress.flatMap((address) => (has && !has.has(address) ? [`${place} lacks ${address}`] : [])),
    );
  }

  /** Addresses that Microsoft 365 still accepts mail from as from the gateway. */
  const accepted = (): Set<string> =>
    new Set([
      ...filtered,
      ...inbound.all().flatMap(({ settings }) => words(settings["SenderIPAddresses"])),
      ...rules
        .all()
        .flatMap(({ settings }) => words([settings["SenderIpRanges"] ?? [], settings["ExceptIfSenderIpRanges"] ?? []].flat())),
    ]);

  function* concerns(exchange: Exchange, cmdlet: Cmdlet | undefined): Generator<string> {
    const path = pathOf(exchange.url);
    const removes = exchange.cloud === "arm" && exchange.method === "DELETE" && tookEffect(exchange);
    const machines = removes ? azure.egressIn(path) : [];
    const released = removes ? azure.addressesIn(path) : [];
    const reached = smartHosts().flatMap(azure.egressOf);
    if (wide())
      for (const address of machines)
        if (reached.includes(address)) yield `the machine at ${address} was removed before the rule`;
    const disconnects = cmdlet?.name === "Remove-OutboundConnector" && tookEffect(exchange);
    if (stopped && !stopped.seen && (disconnects || machines.length > 0))
      yield `${disconnects ? "the outbound connector" : "a machine"} was removed before mails were seen to go round the gateway`;
    if (machines.length > 0 && released.length > 0)
      for (const message of mail.waiting(machines)) yield `a gateway was removed with mail in it: ${message}`;
    const still = accepted();
    for (const address of released) if (still.has(address)) yield `${address} was given back while mail from it is accepted`;
  }

  return record.flatMap((exchange): Violation[] => {
    const cmdlet = cmdletOf(exchange, organization);
    const found = [...concerns(exchange, cmdlet)];
    const before = wide();
    azure.take(exchange);
    mail.take(exchange, azure.egressOf);
    if (cmdlet) {
      for (const objects of [rules, inbound, outbound]) objects.take(cmdlet);
      takeFilter(filtered, cmdlet);
    }
    if (wide()) stopped = undefined;
    else if (before) stopped = { seen: false, sent: new Set() };
    if (stopped && exchange.tenant === organization) seeAround(stopped, exchange, probeMailbox);
    const now = lacking();
    // What lacked it before is nobody's doing now.
    const begun = now.filter((one) => !incomplete.includes(one));
    if (begun.length > 0) found.push(`mail is sent to the gateway while ${begun.join(", ")}`);
    incomplete = now;
    return found.map((what) => ({ invariant: 6, seq: exchange.seq, what }));
  });
}

/** A mail that was sent after the rule had gone, and arrived without having met the gateway. */
function seeAround(stopped: { seen: boolean; sent: Set<string> }, exchange: Exchange, probeMailbox: string): void {
  const { cloud, method, url, requestBody } = exchange;
  if (cloud === "graph" && method === "POST" && pathOf(url).endsWith("/sendmail") && tookEffect(exchange))
    stopped.sent.add((requestBody as { message?: { subject?: string } } | undefined)?.message?.subject ?? "");
  for (const { subject, marked } of probesShown(exchange, probeMailbox)) if (stopped.sent.has(subject)) stopped.seen = !marked;
}

function takeFilter(filtered: Set<string>, { name, parameters, exchange }: Cmdlet): void {
  if (name !== "Set-HostedConnectionFilterPolicy" || !tookEffect(exchange)) return;
  const { IPAllowList: change } = parameters as { IPAllowList?: string[] | { Add?: string[]; Remove?: string[] } };
  if (Array.isArray(change)) filtered.clear();
  const { Add = [], Remove = [] } = Array.isArray(change) ? { Add: change } : (change ?? {});
  for (const address of Add) filtered.add(address);
  for (const address of Remove) filtered.delete(address);
}

interface MailInGateways {
  take(exchange: Exchange, egressOf: (host: string) => string[]): void;
  /** Message-IDs of mails that came to a gateway of these addresses and have not left it. */
  waiting(egress: string[]): string[];
}

/** What each gateway took and has not sent on, by the addresses that it sends from. */
function createMailInGateways(): MailInGateways {
  const taken = new Map<string, string[]>();
  return {
    take: ({ cloud, method, url, status, requestBody }, egressOf) => {
      if (cloud !== "mail" || method !== "SMTP" || status !== 250) return;
      const { source, mime = "" } = (requestBody ?? {}) as { source?: { address: string }; mime?: string };
      const id = /^Message-ID:\s*(\S+)/im.exec(mime)?.[1] ?? "";
      const from = taken.get(id);
      const goesTo = egressOf(new URL(url).hostname);
      if (goesTo.length > 0) taken.set(id, goesTo);
      else if (from?.includes(source?.address ?? "")) taken.delete(id);
    },
    waiting: (egress) => [...taken].flatMap(([id, at]) => (at.every((address) => egress.includes(address)) ? [id] : [])),
  };
}
