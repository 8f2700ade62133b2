/**
 * From one public address of a gateway to another, such that no mail is lost. Two walk it: the orchestrator, whose hands make true, and the
 * plan, whose hands only look. Everything that names addresses accepts both before the machine has the new one, and the old one goes out of it
 * only when mail was seen to come back by the new one. The new address has a name of its own: so Exchange Online knows both names at every
 * moment, and the name in the machine's greeting, the address and its reverse name belong together.
 */
import type { MachineNames } from "../../shared/azure/names.ts";
import { markedRules } from "../../shared/desired/marked-rules.ts";
import { addressAt, alsoFrom, type MachineAt, machineAt, withAddress, withNames } from "../../shared/desired/replaced-address.ts";
import * as desired from "../../shared/desired/state.ts";
import type { Address, Ground } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import type { SpfRecord } from "../../shared/resources/spf-record.ts";
import { type Hands, spfStep, type Walk } from "../../shared/runbook/runbook.ts";

export interface AddressHands<Wait, Proof>
  extends Pick<Hands<Wait>, "ensure" | "ensureIfPossible" | "drop" | "mailRoute" | "guestGeneration"> {
  /** The first of these that no blocklist has; what was made and is listed goes again. */
  firstClean(wanted: DesiredOf<Resources["publicIpAddress"]>[]): Walk<Wait, { address: Address; index: number }>;
  /** Reads back and insists; changes nothing. */
  confirm<Kind extends keyof Resources>(kind: Kind, step: string, wanted: DesiredOf<Resources[Kind]>): Walk<Wait, unknown>;
  /** Until every server of Exchange Online and every resolver knows what was written. */
  settled(step: string): Walk<Wait, void>;
  /** Partners hear of the moment in which senders try again. */
  swapping(address: Address): Walk<Wait, void>;
  /** From now on everybody knows the new one as the gateway's, and the former one as held. */
  keep(names: MachineNames, address: Address): Walk<Wait, void>;
  startTls(ground: Ground): Walk<Wait, void>;
  /** A probe mail comes back through the gateway. */
  prove(ground: Ground): Walk<Wait, Proof>;
}

/** A gateway, and the names that another address of it may have, in order. */
export interface Move extends Target {
  /** As the onboarding, or the last replacement, has left it. */
  ground: Ground;
  at: MachineAt;
  candidates: MachineNames[];
  /** Everybody's mail runs through the gateway, not the pilot's alone. */
  live: boolean;
}

export interface Moved<Proof> {
  address: Address;
  proof: Proof;
}

export function* moveAddress<Wait, Proof>(hands: AddressHands<Wait, Proof>, move: Move): Walk<Wait, Moved<Proof>> {
  const { ground, at, candidates } = move;
  const region = move.names.regions[at.region];
  if (!region) throw new Error(`there is no region ${at.region + 1}`);
  const wanted = candidates.map((machine) => desired.machineAddress(move, { region, machine }));
  const { address, index } = yield* hands.firstClean(wanted);
  const machine = candidates[index] ?? machineAt(move, at);

  const both = alsoFrom(ground, at, address);
  yield* accept(hands, move, both, "both");
  yield* hands.ensure("outboundConnector", "both-smartHosts", desired.outboundConnector(move, both));
  yield* hands.ensure("webClientApplication", "both-redirects", desired.webClientApplication(move, both));
  yield* publish(hands, desired.spfRecords(move, both, "stay"), "stay");
  yield* hands.confirm("inboundConnector", "inboundConnectorReadBack", desired.inboundConnector(move, both));
  yield* hands.confirm("approvalRule", "approvalRuleReadBack", desired.approvalRule(move, both));
  yield* hands.settled("acceptedEverywhere");

  const after = { ...move, names: withNames(move.names, at, machine) };
  const now = withAddress(ground, at, address);
  const place = { region, machine };
  const { leavesLoadBalancerId: _stays, ...network } = desired.unbalancedInterface(after, place);
  yield* hands.swapping(address);
  yield* hands.ensure("networkInterface", "swapped", network);
  yield* hands.keep(machine, address);
  // Nothing answers under the old name any more.
  yield* hands.ensure("outboundConnector", "only-smartHosts", desired.outboundConnector(after, now));
  const route = yield* hands.mailRoute();
  const generation = yield* hands.guestGeneration();
  yield* hands.ensure("guest", "guest", desired.guest(after, place, address.fqdn, now, route, generation));
  yield* hands.startTls(now);
  const proof = yield* hands.prove(now);
  yield* hands.settled("drained");

  yield* accept(hands, after, now, "only");
  if (move.spec.connectionFilter)
    yield* hands.drop("connectionFilter", "only-connectionFilter", {
      ...desired.connectionFilter(after, now),
      egressIps: [addressAt(ground, at).ipAddress],
    });
  yield* hands.ensure("webClientApplication", "only-redirects", desired.webClientApplication(after, now));
  yield* publish(hands, desired.spfRecords(after, now, "go"), "go");
  return { address, proof };
}

/** Everything that names the addresses mail comes from; each is written and read back. */
function* accept<Wait>(hands: Pick<Hands<Wait>, "ensure">, move: Move, ground: Ground, which: "both" | "only"): Walk<Wait, void> {
  yield* hands.ensure("inboundConnector", `${which}-inboundConnector`, desired.inboundConnector(move, ground));
  if (move.spec.connectionFilter && which === "both")
    yield* hands.ensure("connectionFilter", "both-connectionFilter", desired.connectionFilter(move, ground));
  yield* hands.ensure("guardRule", `${which}-guardRule`, desired.guardRule(move, ground));
  for (const { kind, wanted } of markedRules(move, ground, move.live)) yield* hands.ensure(kind, `${which}-${kind}`, wanted);
  if (desired.azureSqlOf(move.spec))
    yield* hands.ensure("sqlFirewallRules", `${which}-sqlFirewallRules`, desired.sqlFirewallRules(move, ground));
}

function* publish<Wait>(
  hands: Pick<Hands<Wait>, "ensureIfPossible">,
  records: SpfRecord[],
  earlier: SpfRecord["earlier"],
): Walk<Wait, void> {
  for (const [index, record] of records.entries()) yield* hands.ensureIfPossible("spfRecord", spfStep(index, earlier), record);
}
