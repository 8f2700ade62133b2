/** The IIS SMTP server's metabase, as the engine reads and writes it. Source: IIS 6.0 metabase reference, as the engine's head names it. */
import { createHash } from "node:crypto";
import type { MachineDocument } from "./document.ts";
import { type GuestState, tlsCertificateOf } from "./state.ts";

type Smtp = NonNullable<MachineDocument["smtp"]>;

const FORTNIGHT = 14 * 24 * 60 * 60 * 1000;
const TWO_YEARS = 2 * 365 * 24 * 60 * 60 * 1000;

export function smtpDifferences(guest: GuestState, { smtp }: MachineDocument, now: number): string[] {
  if (smtp === undefined) return [];
  const { metabase } = guest;
  if (metabase === undefined) return ["smtp"];
  const domainFits = (domain: string): boolean => {
    const route = metabase.domains[domain];
    return route !== undefined && route.tls === smtp.outboundTls && route.smartHost === smtp.smartHost;
  };
  const inbound = metabase.accessSsl === smtp.inboundTls && (!smtp.inboundTls || goodCertificate(guest, smtp.fqdn, now));
  return [
    ...(metabase.fqdn === smtp.fqdn ? [] : ["smtp/fqdn"]),
    ...(metabase.smartHost === smtp.smartHost && metabase.smartHostType === 2 ? [] : ["smtp/smartHost"]),
    ...(metabase.alwaysUseSsl === smtp.outboundTls ? [] : ["smtp/outboundTls"]),
    ...(inbound ? [] : ["smtp/inboundTls"]),
    ...smtp.relayFor.filter((domain) => !domainFits(domain)).map((domain) => `smtp/relayFor/${domain}`),
    ...formerDomains(guest, smtp).map((domain) => `smtp/relayFor/${domain}`),
    ...(sameList(metabase.relayFrom, grantsOf(smtp)) ? [] : ["smtp/relayFrom"]),
  ];
}

export function setSmtp(guest: GuestState, smtp: Smtp, now: number): GuestState {
  const domains = Object.fromEntries(
    smtp.relayFor.map((domain) => [domain, { tls: smtp.outboundTls, smartHost: smtp.smartHost }]),
  );
  const former = formerDomains(guest, smtp);
  const kept = Object.entries(guest.metabase?.domains ?? {}).filter(([domain]) => !former.includes(domain));
  const state = { ...guest.registry[STATE_KEY], RelayDomains: { type: "MultiString", data: smtp.relayFor } };
  return {
    ...guest,
    registry: { ...guest.registry, [STATE_KEY]: state },
    metabase: {
      fqdn: smtp.fqdn,
      smartHost: smtp.smartHost,
      smartHostType: 2,
      alwaysUseSsl: smtp.outboundTls,
      accessSsl: smtp.inboundTls,
      domains: { ...Object.fromEntries(kept), ...domains },
      relayFrom: grantsOf(smtp),
    },
    certificates:
      smtp.inboundTls && !goodCertificate(guest, smtp.fqdn, now)
        ? [...guest.certificates, selfSigned(guest, smtp.fqdn, now)]
        : guest.certificates,
  };
}

const STATE_KEY = "hklm\\software\\gatehouse\\guest";

/** Those that the engine remembers having made and that the document no longer names. */
function formerDomains({ registry, metabase }: GuestState, { relayFor }: Smtp): string[] {
  const ours = registry[STATE_KEY]?.["RelayDomains"]?.data;
  return (Array.isArray(ours) ? ours.map(String) : []).filter(
    (domain) => !relayFor.includes(domain) && metabase?.domains[domain] !== undefined,
  );
}

const goodCertificate = ({ certificates }: GuestState, fqdn: string, now: number): boolean => {
  const good = certificates.filter(({ notBefore, notAfter }) => notBefore <= now && notAfter > now + FORTNIGHT);
  return tlsCertificateOf({ certificates: good }, fqdn) !== undefined;
};

const selfSigned = ({ virtualMachineId }: GuestState, fqdn: string, now: number): GuestState["certificates"][number] => ({
  store: "My",
  thumbprint: createHash("sha1").update(`${virtualMachineId} ${fqdn} ${now}`).digest("hex").toUpperCase(),
  names: [fqdn],
  notBefore: now,
  notAfter: now + TWO_YEARS,
  selfSigned: true,
});

const grantsOf = ({ relayFrom }: Smtp): string[] => ["127.0.0.1", ...(relayFrom ?? [])];
export const sameList = (a: readonly string[], b: readonly string[]): boolean => a.toSorted().join() === b.toSorted().join();
