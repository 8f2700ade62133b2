/** Simulated DNS: a UDP resolver on loopback for the application, and `peers.lookup` for the other simulators. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { type Answer, decode, encode, type Packet, type Question, RECURSION_AVAILABLE } from "dns-packet";
import type { Platform, Simulator } from "../simulator.ts";
import { type BlocklistAnswer, createBlocklistZones } from "./blocklists.ts";
import { answerPortal } from "./portal.ts";
import { find, type RecordType } from "./zones.ts";

const TTL_IN_SECONDS = 300;
/** As Spamhaus answers. */
const LISTING_TTL_IN_SECONDS = 60;
const NXDOMAIN = 3;
const NOT_IMPLEMENTED = 4;

/** Listens, when started, at the first of `environment.dnsServers`. */
export function createDns(platform: Platform): Simulator {
  platform.peers.lookup = (name, type) => find(platform, name, type).values;
  const blocklists = createBlocklistZones(platform);
  platform.peers.blocklists = {
    change: (change) => blocklists.change(change),
    portal: (request) => answerPortal(blocklists, request),
  };
  let socket: Socket | undefined;

  function answer(query: Buffer, { address, port }: RemoteInfo): void {
    const packet = decoded(query);
    const [question] = packet?.questions ?? [];
    if (!packet || !question) return;
    const listed = blocklists.answer(question.name);
    if (listed === "silent") return;
    const { code, answers } = listed ? answersOf(question, listed) : answersTo(question);
    // The low four bits of the flags are the response code (RFC 1035, chapter 4.1.1).
    const flags = RECURSION_AVAILABLE | (packet.flags ?? 0) | code;
    socket?.send(encode({ type: "response", id: packet.id ?? 0, flags, questions: [question], answers }), port, address);
    platform.note("dns", {
      method: "QUERY",
      url: `dns:${question.name}?type=${question.type}`,
      status: code,
      responseBody: answers.map((one) => ("data" in one ? plain(one.data) : undefined)),
    });
  }

  function answersTo({ name, type }: Question): { code: number; answers: Answer[] } {
    if (type !== "A" && type !== "MX" && type !== "TXT" && type !== "PTR") {
      // A name that exists has no such data; one that doesn't is NXDOMAIN for every type.
      const known = (["A", "MX", "TXT", "PTR"] as const).some((one) => find(platform, name, one).exists);
      return {
        code: known ? 0 : type === "AAAA" || type === "CNAME" || type === "NS" || type === "SOA" ? NXDOMAIN : NOT_IMPLEMENTED,
        answers: [],
      };
    }
    const { exists, values } = find(platform, name, type);
    return { code: exists ? 0 : NXDOMAIN, answers: values.map((value, index) => toAnswer(name, type, value, index)) };
  }

  return {
    name: "dns",
    handle: () => ({ status: 404, body: { error: { code: "NotFound", message: "DNS speaks UDP" } } }),
    state: () => ({
      server: platform.environment.dnsServers[0],
      domains: platform.organizations.values().flatMap(({ domains }) => domains.map(({ name }) => name)),
      blocklists: blocklists.state(),
      publicAddresses: platform.peers.publicAddresses?.() ?? [],
    }),
    start: async () => {
      const [host = "127.0.0.1", port = "0"] = (platform.environment.dnsServers[0] ?? "127.0.0.1:0").split(":");
      const listening = createSocket("udp4");
      await new Promise<void>((resolve, reject) => {
        listening.once("error", reject);
        listening.bind(Number(port), host, () => resolve());
      });
      listening.on("message", answer);
      // A client that is gone sends an ICMP error back; the server goes on.
      listening.on("error", () => undefined);
      socket = listening;
    },
    close: async () => {
      const closing = socket;
      socket = undefined;
      if (closing) await new Promise<void>((resolve) => closing.close(() => resolve()));
    },
  };
}

function decoded(query: Buffer): Packet | undefined {
  try {
    return decode(query);
  } catch {
    return undefined;
  }
}

function answersOf(
  { name, type }: Question,
  { code, addresses, texts }: Exclude<BlocklistAnswer, "silent">,
): { code: number; answers: Answer[] } {
  const values = type === "A" ? addresses : type === "TXT" ? texts : [];
  return {
    code,
    answers: values.map((data) => ({ name, type: type === "TXT" ? "TXT" : "A", ttl: LISTING_TTL_IN_SECONDS, data })),
  };
}

function toAnswer(name: string, type: RecordType, value: string, index: number): Answer {
  const common = { name, ttl: TTL_IN_SECONDS };
  if (type === "MX") return { ...common, type, data: { preference: index * 10, exchange: value } };
  return { ...common, type, data: value };
}

const plain = (data: unknown): unknown => (Buffer.isBuffer(data) ? data.toString() : data);
