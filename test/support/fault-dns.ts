/**
 * Name servers of blocklists, over UDP on loopback, that fail in the ways that real ones do (RFC 5782, chapters 5 and 7): what they answer,
 * when they turn bad, and what they were asked is the test's.
 */
import { createSocket } from "node:dgram";
import { setTimeout as later } from "node:timers";
import { type Answer, AUTHORITATIVE_ANSWER, decode, encode, RECURSION_DESIRED } from "dns-packet";

/** The eight ways to fail, one code of each kind; `lossy` loses a tenth of the questions. */
export type Behaviour =
  | "honest"
  | "dead"
  | "everything"
  | "127.255.255.254"
  | "127.255.255.255"
  | "servfail"
  | "refused"
  | "parked"
  | "nothing"
  | "lossy";

export interface FaultZone {
  behaviour: Behaviour;
  /** Whether the list has the address, by its last two octets as one number. */
  lists(address: string): boolean;
  /** Questions until it turns into something else. */
  turns?: { after: number; into: Behaviour } | undefined;
  ttlInSeconds?: number;
}

export interface FaultDns {
  servers: string[];
  /** By the zone's name; changed at any time. */
  zones: Map<string, FaultZone>;
  /** Questions so far by zone, of one kind or of all; and the most that waited for their answers at once. */
  asked: Map<string, number>;
  most: { ofAll: number; ofOne: number };
  /** Each question's name, where the test wants them. */
  names: Set<string> | undefined;
  stop(): Promise<void>;
}

const SERVFAIL = 2;
const NXDOMAIN = 3;
const REFUSED = 5;

export async function startFaultDns(latencyInMilliseconds = 0, random: () => number = Math.random): Promise<FaultDns> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 8 << 20 });
  const waiting = new Map<string, number>();
  let ofAll = 0;
  const dns: Omit<FaultDns, "servers" | "stop"> = {
    zones: new Map(),
    asked: new Map(),
    most: { ofAll: 0, ofOne: 0 },
    names: undefined,
  };

  socket.on("message", (message, { address, port }) => {
    const { id = 0, questions: [question] = [] } = decode(message);
    if (!question) return;
    const name = question.name.toLowerCase();
    dns.names?.add(name);
    const [zoneName, zone] = [...dns.zones].find(([one]) => name.endsWith(`.${one}`)) ?? [];
    if (zoneName === undefined || !zone) return;
    const count = (dns.asked.get(zoneName) ?? 0) + 1;
    dns.asked.set(zoneName, count);
    if (zone.turns && count > zone.turns.after) {
      zone.behaviour = zone.turns.into;
      zone.turns = undefined;
    }
    if (zone.behaviour === "dead" || (zone.behaviour === "lossy" && random() < 0.1)) return;
    const octets = name.slice(0, -zoneName.length - 1).split(".");
    const [code, data] = answerOf(zone, octets.slice(0, 4).reverse().join("."));
    const answers: Answer[] = data === undefined ? [] : [{ type: "A", name: question.name, ttl: zone.ttlInSeconds ?? 60, data }];
    const reply = encode({
      type: "response",
      id,
      // The low four bits of the flags are the response code.
      flags: RECURSION_DESIRED | AUTHORITATIVE_ANSWER | code,
      questions: [question],
      answers: question.type === "A" ? answers : [],
    });
    ofAll += 1;
    waiting.set(zoneName, (waiting.get(zoneName) ?? 0) + 1);
    dns.most.ofAll = Math.max(dns.most.ofAll, ofAll);
    dns.most.ofOne = Math.max(dns.most.ofOne, waiting.get(zoneName) ?? 0);
    later(() => {
      ofAll -= 1;
      waiting.set(zoneName, (waiting.get(zoneName) ?? 0) - 1);
      socket.send(reply, port, address);
    }, latencyInMilliseconds);
  });
  // Who has gone sends an ICMP error back; the server goes on.
  socket.on("error", () => undefined);
  await new Promise<void>((ready) => socket.bind(0, "127.0.0.1", ready));
  return Object.assign(dns, {
    servers: [`127.0.0.1:${socket.address().port}`],
    stop: () => new Promise<void>((closed) => socket.close(() => closed())),
  });
}

/** The response code, and the address if there is one. */
function answerOf({ behaviour, lists }: FaultZone, address: string): [number, string?] {
  if (behaviour === "servfail") return [SERVFAIL];
  if (behaviour === "refused") return [REFUSED];
  if (behaviour === "parked") return [0, "203.0.113.80"];
  if (behaviour.startsWith("127.")) return [0, behaviour];
  if (behaviour === "everything") return [0, "127.0.0.2"];
  if (behaviour === "nothing") return [NXDOMAIN];
  return address === "127.0.0.2" || lists(address) ? [0, "127.0.0.2"] : [NXDOMAIN];
}
