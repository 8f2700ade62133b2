/** Simulated DNS: a resolver on loopback for the application, over UDP and TCP, and `peers.lookup` for the other simulators. */
import { createSocket, type Socket } from "node:dgram";
import { createServer, type Server } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import {
  type Answer,
  decode,
  encode,
  type Packet,
  type Question,
  RECURSION_AVAILABLE,
  streamDecode,
  streamEncode,
  TRUNCATED_RESPONSE,
} from "dns-packet";
import type { Fault } from "../faults.ts";
import type { Platform, Simulator } from "../simulator.ts";
import { type BlocklistAnswer, createBlocklistZones } from "./blocklists.ts";
import { answerPortal } from "./portal.ts";
import { find, type RecordType } from "./zones.ts";

const TTL_IN_SECONDS = 300;
/** As Spamhaus answers. */
const LISTING_TTL_IN_SECONDS = 60;
/** Response codes (RFC 1035, chapter 4.1.1). */
const SERVFAIL = 2;
const NXDOMAIN = 3;
const NOT_IMPLEMENTED = 4;
const REFUSED = 5;

/** Listens, when started, at the first of `environment.dnsServers`. */
export function createDns(platform: Platform): Simulator {
  platform.peers.lookup = (name, type) => find(platform, name, type).values;
  const blocklists = createBlocklistZones(platform);
  platform.peers.blocklists = {
    change: (change) => blocklists.change(change),
    portal: (request) => answerPortal(blocklists, request),
  };
  let socket: Socket | undefined;
  let server: Server | undefined;

  /** What goes back over either transport; what is truncated comes whole over TCP, where the client asks again (RFC 1035, chapter 4.2). */
  async function reply(query: Packet, transport: "udp" | "tcp"): Promise<Packet | undefined> {
    const [question] = query.questions ?? [];
    if (!question) return undefined;
    const fault = platform.fault("dns", { method: question.type, path: question.name });
    const listed = blocklists.answer(question.name);
    const note = (status: number, answers: Answer[]): void =>
      platform.note("dns", {
        method: "QUERY",
        url: `dns:${question.name}?type=${question.type}`,
        status,
        responseBody: answers.map((one) => ("data" in one ? plain(one.data) : undefined)),
        fault: fault?.kind,
      });
    if (fault && silenceOf(fault)) note(0, []);
    if ((fault && silenceOf(fault)) || listed === "silent") return undefined;
    if (fault?.kind === "delay") await wait(fault.milliseconds ?? 1000);
    const honest = listed ? answersOf(question, listed, platform.tempo) : answersTo(question);
    const forced = fault && codeOf(fault);
    const { code, answers } = forced === undefined ? honest : { code: forced, answers: [] };
    note(code, answers);
    const truncated = fault?.kind === "truncated" && transport === "udp";
    return {
      type: "response",
      id: ((query.id ?? 0) + (fault?.kind === "wrong-id" ? 1 : 0)) % 65_536,
      // The low four bits of the flags are the response code.
      flags: RECURSION_AVAILABLE | (truncated ? TRUNCATED_RESPONSE : 0) | (query.flags ?? 0) | code,
      questions: [question],
      answers: truncated ? [] : answers,
    };
  }

  function answersTo({ name, type }: Question): { code: number; answers: Answer[] } {
    if (type !== "A" && type !== "MX" && type !== "TXT" && type !== "PTR" && type !== "NS") {
      // A name that exists has no such data; one that doesn't is NXDOMAIN for every type.
      const known = (["A", "MX", "TXT", "PTR", "NS"] as const).some((one) => find(platform, name, one).exists);
      return {
        code: known ? 0 : type === "AAAA" || type === "CNAME" || type === "SOA" ? NXDOMAIN : NOT_IMPLEMENTED,
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
      listening.on("message", (query, { address, port: from }) => {
        void (async () => {
          const packet = decoded(() => decode(query));
          const answer = packet && (await reply(packet, "udp"));
          if (answer) socket?.send(encode(answer), from, address);
        })();
      });
      // A client that is gone sends an ICMP error back; the server goes on.
      listening.on("error", () => undefined);
      socket = listening;
      server = await listenOnTcp(host, listening.address().port, async (query) => {
        const packet = decoded(() => streamDecode(query));
        const answer = packet && (await reply(packet, "tcp"));
        return answer && streamEncode(answer);
      });
    },
    close: async () => {
      server?.close();
      server = undefined;
      const closing = socket;
      socket = undefined;
      if (closing) await new Promise<void>((resolve) => closing.close(() => resolve()));
    },
  };
}

/** Each message has its length in two bytes before it (RFC 1035, chapter 4.2.2). */
async function listenOnTcp(
  host: string,
  port: number,
  answer: (query: Buffer) => Promise<Buffer | undefined>,
): Promise<Server | undefined> {
  const listening = createServer((connection) => {
    let received = Buffer.alloc(0);
    connection.on("error", () => connection.destroy());
    connection.on("data", (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      void answer(received).then((reply) => reply && connection.end(reply));
    });
  });
  listening.unref();
  return new Promise((resolve) => {
    // Only the UDP port was kept for us: where somebody else has the TCP port, truncated answers stay truncated.
    listening.once("error", () => resolve(undefined));
    listening.listen(port, host, () => resolve(listening));
  });
}

function decoded(read: () => Packet): Packet | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

const silenceOf = ({ kind }: Fault): boolean => kind.startsWith("cut-") || kind.startsWith("timeout-");

/** The response code instead of the right one; a fault that was meant for any cloud is a failure of the server here. */
function codeOf({ kind }: Fault): number | undefined {
  if (kind === "refuse") return REFUSED;
  if (kind === "nxdomain") return NXDOMAIN;
  return kind === "servfail" || kind === "status" || kind === "throttle" || kind === "answer" || kind === "html"
    ? SERVFAIL
    : undefined;
}

function answersOf(
  { name, type }: Question,
  { code, addresses, texts }: Exclude<BlocklistAnswer, "silent">,
  tempo: number,
): { code: number; answers: Answer[] } {
  const values = type === "A" ? addresses : type === "TXT" ? texts : [];
  return {
    code,
    answers: values.map((data) => ({
      name,
      type: type === "TXT" ? "TXT" : "A",
      ttl: Math.round(LISTING_TTL_IN_SECONDS * tempo),
      data,
    })),
  };
}

function toAnswer(name: string, type: RecordType, value: string, index: number): Answer {
  const common = { name, ttl: TTL_IN_SECONDS };
  if (type === "MX") return { ...common, type, data: { preference: index * 10, exchange: value } };
  // A character string holds 255 octets at most; a longer text is several of them (RFC 1035, chapter 3.3).
  if (type === "TXT" && value.length > 255) return { ...common, type, data: value.match(/.{1,255}/gs) ?? [] };
  return { ...common, type, data: value };
}

const plain = (data: unknown): unknown => (Buffer.isBuffer(data) ? data.toString() : data);
