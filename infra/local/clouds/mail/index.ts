/** The mail internet: real SMTP over loopback between parties that know each other by modelled public addresses. */
import type { Party, Peers, Platform, Simulator } from "../simulator.ts";
import { type Delivery, deliver } from "./client.ts";
import { createEgressProxy } from "./egress-proxy.ts";
import { createGateways } from "./gateway.ts";
import { createListeners } from "./listeners.ts";
import { subjectOf } from "./message.ts";
import { createOutside, OUTSIDE } from "./outside.ts";

const SMTP_PORT = 25;
/** Where Gatehouse itself comes from when it looks at a gateway from outside. */
const GATEHOUSE_ADDRESS = "198.51.100.80";

/** `proxyUrl` is the egress proxy; `admit` gives a party that isn't of the mail internet (a probe) its proxy password. */
export interface MailInternet extends Simulator {
  readonly proxyUrl: string;
  readonly admit: (party: Party) => string;
}

/** Sets `platform.peers.deliverMail`, `mailQueue` and `smtpLog`. */
export async function createMail(platform: Platform): Promise<MailInternet> {
  const { peers } = platform;
  const outside = createOutside(platform);
  const listeners = createListeners(platform.certificates);
  const { smtpProxy } = platform.environment;
  const door = smtpProxy === undefined ? undefined : new URL(smtpProxy);
  const proxy = await createEgressProxy(
    async (address, port, source) => {
      if (port !== SMTP_PORT) return undefined;
      const receiver = receiverAt(address, source);
      const url = `smtp://${address}:${port}`;
      const fault = platform.fault("mail", {
        method: "SMTP",
        path: `smtp://${receiver?.fqdn ?? ""}/${address}?source=${source}`,
      });
      const refused = !receiver || fault?.kind === "refuse";
      if (refused || fault)
        platform.note("mail", {
          method: "CONNECT",
          url,
          requestBody: { source },
          status: refused ? 502 : 200,
          responseBody: refused ? "connection refused" : undefined,
          fault: fault?.kind,
        });
      return refused ? undefined : listeners.portFor(address, receiver, { source, fault });
    },
    Number(door?.port ?? 0),
  );
  if (door)
    proxy.admit({ name: decodeURIComponent(door.username), address: GATEHOUSE_ADDRESS }, decodeURIComponent(door.password));
  const lookup: NonNullable<Peers["lookup"]> = (name, type) => peers.lookup?.(name, type) ?? [];

  async function deliverMail(delivery: Delivery): ReturnType<typeof deliver> {
    const fate = await deliver({ proxy, lookup, authority: platform.certificates.authority }, delivery);
    const { from, to, message } = delivery;
    platform.note("mail", {
      method: "SMTP",
      url: `smtp://${to.host}:${to.port}`,
      requestBody: {
        source: { name: from.name, address: from.address },
        tls: fate.tls,
        from: message.envelopeFrom,
        to: message.recipients,
        subject: subjectOf(message.mime),
        mime: message.mime,
      },
      status: fate.accepted.length > 0 ? 250 : Number(fate.refused[0]?.reply.slice(0, 3) ?? 450),
      responseBody: fate.refused,
      effect: fate.accepted.length > 0 ? "write" : "none",
    });
    return fate;
  }

  const gateways = createGateways(platform, deliverMail);

  function receiverAt(address: string, source: string): ReturnType<NonNullable<Peers["mailReceiverAt"]>> {
    if (address === OUTSIDE.address) return outside.receiver;
    const front = peers.mailReceiverAt?.(address);
    if (front) return front;
    const guest = peers.gatewayAt?.(address, SMTP_PORT, source);
    return guest?.smtp.running ? gateways.receiver(guest, address, source) : undefined;
  }

  peers.deliverMail = deliverMail;
  peers.mailQueue = gateways.counts;
  peers.smtpLog = gateways.log;

  return {
    name: "mail",
    proxyUrl: proxy.url,
    admit: proxy.admit,
    handle: () => ({ status: 404, body: { error: { code: "NotFound", message: "mail speaks SMTP" } } }),
    state: () => ({ outside: outside.state(), gateways: gateways.state() }),
    start: () => gateways.resume(),
    close: async () => {
      gateways.stop();
      await proxy.close();
      await listeners.close();
    },
  };
}
