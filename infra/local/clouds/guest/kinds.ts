/** Each kind of a guest document as Windows takes it: what differs, and how it is after it was set; in the engine's order and words. */
import { type MachineDocument, EngineFailure } from "./document.ts";
import { type FirewallRule, type GuestState, type MachineCertificate } from "./state.ts";
import { sameList, setSmtp, smtpDifferences } from "./smtp.ts";
import { hashOf, type Values, withOrigin } from "./values.ts";
import { setXml, xmlDifferences, xmlHasText } from "./xml.ts";

/** What the kinds are given beside the machine: its clock, the texts of secrets, and certificates that came out of the vault. */
export interface Means {
  now: number;
  values: Values;
  /** By thumbprint and store; what a document's certificates were found to be. */
  certificates: ReadonlyMap<string, MachineCertificate | undefined>;
}

type Set = (guest: GuestState, document: MachineDocument, means: Means) => GuestState;

interface Kind {
  differences(guest: GuestState, document: MachineDocument, means: Means): string[];
  set: Set;
}

const evidence: Kind = {
  differences: (guest, { evidence: wanted }) =>
    wanted.filter((entry) => !evident(guest, entry)).map(({ file }) => `evidence/${file}`),
  set: (guest) => guest,
};

function evident({ files }: GuestState, { file, path, whenPresent }: MachineDocument["evidence"][number]): boolean {
  const there = files[file.toLowerCase()];
  if (there === undefined) return whenPresent === true;
  return there.open !== true && (path === undefined || xmlHasText(there.text, file, path));
}

/** The engine waits for it first of all; who calls this has waited. */
export function requireEvidence(guest: GuestState, { evidence: wanted }: Pick<MachineDocument, "evidence">): void {
  const missing = wanted.find((entry) => !evident(guest, entry));
  if (missing === undefined) return;
  throw new EngineFailure("EvidenceMissing", `the image's own set-up has not ended: ${missing.file}`);
}

/** What Install-WindowsFeature brings along. Source: Get-WindowsFeature's DependsOn on Windows Server 2022. */
const DEPENDENCIES: Record<string, string[]> = { "SMTP-Server": ["Web-Metabase", "Web-Lgcy-Mgmt-Console"] };
const FEATURES = new Set(["SMTP-Server", "Web-Metabase", "Web-Lgcy-Mgmt-Console", "Web-Server", "RSAT-SMTP", "Telnet-Client"]);

const features: Kind = {
  differences: (guest, { features: wanted }) => {
    const unknown = wanted.find((name) => !FEATURES.has(name) || (name === "SMTP-Server" && !guest.smtpServerFeature));
    if (unknown !== undefined)
      throw new EngineFailure(
        "FeatureUnknown",
        `this Windows has no feature ${unknown}; the image must be Windows Server 2022 or older`,
      );
    return wanted.filter((name) => !guest.features.includes(name)).map((name) => `features/${name}`);
  },
  set: (guest, { features: wanted }) => {
    const missing = wanted.filter((name) => !guest.features.includes(name));
    if (missing.length === 0) return guest;
    if (guest.lcmBusy) throw new EngineFailure("LcmBusy", "the Local Configuration Manager did not become idle");
    const restart = missing.find((name) => guest.restartFor.includes(name));
    if (restart !== undefined) throw new EngineFailure("RestartNeeded", `the feature ${restart} needs a restart of the machine`);
    const installed = [...new Set([...guest.features, ...missing, ...missing.flatMap((name) => DEPENDENCIES[name] ?? [])])];
    const smtpService = { startType: "Manual", state: "Stopped" } as const;
    return {
      ...guest,
      features: installed,
      services: installed.includes("SMTP-Server") ? { SMTPSVC: smtpService, ...guest.services } : guest.services,
      metabase: guest.metabase ?? (installed.includes("SMTP-Server") ? freshMetabase(guest) : undefined),
    };
  },
};

/** IIS' own defaults: the computer's name, no smart host, no TLS, nobody may relay. */
const freshMetabase = ({ computerName }: GuestState): NonNullable<GuestState["metabase"]> => ({
  fqdn: computerName,
  smartHost: "",
  smartHostType: 0,
  alwaysUseSsl: false,
  accessSsl: false,
  domains: {},
  relayFrom: [],
});

const files: Kind = {
  differences: (guest, { files: wanted }, { values }) =>
    wanted
      .filter(({ path, content, secret, absent }) => {
        const there = guest.files[path.toLowerCase()];
        if (absent) return there !== undefined;
        return there === undefined || !values.same({ value: content, secret }, `files/${path}`, there.text);
      })
      .map(({ path }) => `files/${path}`),
  set: (before, document, means) =>
    document.files.reduce((guest, entry) => {
      if (files.differences(guest, { ...document, files: [entry] }, means).length === 0) return guest;
      const { [entry.path.toLowerCase()]: _there, ...others } = guest.files;
      if (entry.absent) return { ...guest, files: others };
      const value = { value: entry.content, secret: entry.secret };
      const text = means.values.text(value);
      const written = { ...guest, files: { ...others, [entry.path.toLowerCase()]: { path: entry.path, text } } };
      return withOrigin(written, value, `files/${entry.path}`, text);
    }, before),
};

const certificates: Kind = {
  differences: (guest, { certificates: wanted }) =>
    wanted
      .filter(({ thumbprint, store, absent }) => {
        const present = guest.certificates.some((one) => one.thumbprint === thumbprint && one.store === store);
        return present === (absent === true);
      })
      .map(({ thumbprint, store }) => `certificates/${store}/${thumbprint}`),
  set: (before, { certificates: wanted }, means) =>
    wanted.reduce((guest, { thumbprint, store, secret, absent }) => {
      const others = guest.certificates.filter((one) => one.thumbprint !== thumbprint || one.store !== store);
      if (absent) return { ...guest, certificates: others };
      if (others.length < guest.certificates.length) return guest;
      const found = means.certificates.get(`${store}/${thumbprint}`);
      if (found === undefined)
        throw new EngineFailure("CertificateMismatch", `the vault's ${secret?.name} is not the certificate ${thumbprint}`);
      return { ...guest, certificates: [...others, found] };
    }, before),
};

const smtp: Kind = {
  differences: (guest, document, { now }) => smtpDifferences(guest, document, now),
  set: (guest, document, { now }) => {
    if (document.smtp === undefined || smtpDifferences(guest, document, now).length === 0) return guest;
    // Without the feature there is no metabase to open.
    if (guest.metabase === undefined) throw new EngineFailure("GuestFailed", "MethodInvocationException at line 0");
    return setSmtp(guest, document.smtp, now);
  },
};

const registry: Kind = {
  differences: (guest, { registry: wanted }, { values }) =>
    wanted
      .filter((entry) => {
        const value = guest.registry[entry.path.toLowerCase()]?.[entry.name];
        if (value === undefined || value.type !== entry.type) return true;
        if (entry.secret !== undefined) return !values.same(entry, registryPlace(entry), String(value.data));
        return JSON.stringify(value.data) !== JSON.stringify(entry.value);
      })
      .map(registryPlace),
  set: (before, { registry: wanted }, { values }) =>
    wanted.reduce((guest, entry) => {
      const key = entry.path.toLowerCase();
      const data = entry.secret === undefined ? entry.value : values.text(entry);
      const written = {
        ...guest,
        registry: { ...guest.registry, [key]: { ...guest.registry[key], [entry.name]: { type: entry.type, data } } },
      };
      return withOrigin(written, entry, registryPlace(entry), String(data));
    }, before),
};

export const registryPlace = ({ path, name }: MachineDocument["registry"][number]): string => `registry/${path}\\${name}`;

const xml: Kind = {
  differences: (guest, document, { values }) => xmlDifferences(guest, document, values),
  set: (before, document, { values }) => document.xml.reduce((guest, entry) => setXml(guest, entry, values), before),
};

const defender: Kind = {
  differences: ({ services: there, exclusions }, { defender: wanted }) =>
    there["WinDefend"] === undefined || exclusions === undefined
      ? []
      : (wanted?.exclusions ?? [])
          .filter((path) => !exclusions.some((one) => one.toLowerCase() === path.toLowerCase()))
          .map((path) => `defender/${path}`),
  set: (guest, document, means) => {
    const missing = defender.differences(guest, document, means).map((name) => name.slice("defender/".length));
    return missing.length === 0 ? guest : { ...guest, exclusions: [...(guest.exclusions ?? []), ...missing] };
  },
};

const firewall: Kind = {
  differences: (guest, { firewall: wanted, firewallNames }) => {
    if (wanted === undefined) return [];
    const names = (firewallNames ?? wanted.map(({ name }) => name)).map(ruleName);
    return [
      ...wanted
        .map(ruleOf)
        .filter((rule) => !guest.firewall.some((there) => sameRule(there, rule)))
        .map(({ displayName }) => `firewall/${displayName}`),
      ...guest.firewall
        .filter(({ group, name }) => group === "Gatehouse" && !names.includes(name))
        .map(({ displayName }) => `firewall/${displayName}`),
    ];
  },
  set: (guest, { firewall: wanted, firewallNames }) => {
    if (wanted === undefined) return guest;
    const rules = wanted.map(ruleOf);
    const kept = (firewallNames ?? []).map(ruleName);
    const others = guest.firewall.filter(
      ({ group, name }) => group !== "Gatehouse" || (kept.includes(name) && !rules.some((rule) => rule.name === name)),
    );
    return { ...guest, firewall: [...others, ...rules] };
  },
};

const ruleName = (name: string): string => `Gatehouse-${name.replace(/^Gatehouse /, "").replaceAll(" ", "-")}`;

function ruleOf({ name, port, protocol, direction, sources }: NonNullable<MachineDocument["firewall"]>[number]): FirewallRule {
  const [first = 0, last] = typeof port === "number" ? [port] : port.split("-").map(Number);
  return {
    name: ruleName(name),
    displayName: name,
    group: "Gatehouse",
    port: first,
    ...(last === undefined ? {} : { lastPort: last }),
    ...(direction === undefined ? {} : { direction }),
    protocol,
    enabled: true,
    sources: sources ?? ["Any"],
  };
}

const sameRule = (there: FirewallRule, rule: FirewallRule): boolean =>
  there.name === rule.name &&
  there.enabled &&
  there.port === rule.port &&
  there.lastPort === rule.lastPort &&
  there.direction === rule.direction &&
  there.protocol === rule.protocol &&
  sameList(there.sources, rule.sources);

const tasks: Kind = {
  differences: ({ tasks: there }, { tasks: wanted }) =>
    wanted
      .filter(({ name, execute, arguments: given = "", everyInMinutes }) => {
        const task = there[name];
        return (
          task === undefined ||
          task.execute.toLowerCase() !== execute.toLowerCase() ||
          task.arguments !== given ||
          task.everyInMinutes !== everyInMinutes ||
          !task.enabled ||
          task.user !== "SYSTEM"
        );
      })
      .map(({ name }) => `tasks/${name}`),
  set: (before, document, means) =>
    document.tasks.reduce((guest, entry) => {
      if (tasks.differences(guest, { ...document, tasks: [entry] }, means).length === 0) return guest;
      const { name, execute, arguments: given = "", everyInMinutes } = entry;
      const task = { execute, arguments: given, everyInMinutes, enabled: true, user: "SYSTEM", registeredAt: means.now };
      return { ...guest, tasks: { ...guest.tasks, [name]: task } };
    }, before),
};

const sidOf = ({ accounts }: GuestState, account: string): string => {
  const sid = accounts[account.toLowerCase()];
  if (sid === undefined) throw new EngineFailure("AccountUnknown", `Windows finds no account ${account}`);
  return sid;
};

const groups: Kind = {
  differences: (guest, { groups: wanted }) =>
    wanted.flatMap(({ group, members }) =>
      members.filter((one) => !guest.groups[group]?.includes(sidOf(guest, one))).map((one) => `groups/${group}/${one}`),
    ),
  set: (before, { groups: wanted }) =>
    wanted.reduce((guest, { group, members }) => {
      const sids = members.map((one) => sidOf(guest, one));
      return { ...guest, groups: { ...guest.groups, [group]: [...new Set([...(guest.groups[group] ?? []), ...sids])] } };
    }, before),
};

const rights: Kind = {
  differences: (guest, { rights: wanted }) =>
    wanted.flatMap(({ right, accounts }) =>
      accounts.filter((one) => !guest.rights[right]?.includes(sidOf(guest, one))).map((one) => `rights/${right}/${one}`),
    ),
  set: (before, { rights: wanted }) =>
    wanted.reduce((guest, { right, accounts }) => {
      const sids = accounts.map((one) => sidOf(guest, one));
      return { ...guest, rights: { ...guest.rights, [right]: [...new Set([...(guest.rights[right] ?? []), ...sids])] } };
    }, before),
};

/** A user that isn't there can't log on either. */
const passwords: Kind = {
  differences: (guest, { passwords: wanted }, { values }) =>
    wanted
      .filter((entry) => !values.hashed(entry, `passwords/${entry.account}`, guest.passwords[entry.account.toLowerCase()] ?? ""))
      .map(({ account }) => `passwords/${account}`),
  set: (before, document, means) =>
    document.passwords.reduce((guest, entry) => {
      const { account, secret, earlier, reset } = entry;
      if (passwords.differences(guest, { ...document, passwords: [entry] }, means).length === 0) return guest;
      const there = guest.passwords[account.toLowerCase()];
      if (there === undefined) throw new EngineFailure("AccountUnknown", `Windows finds no account ${account}`);
      const known = earlier.some((one) => hashOf(means.values.text({ secret: one })) === there);
      if (!known && !reset)
        throw new EngineFailure(
          "PasswordUnknown",
          `the account ${account} has none of the passwords that are known: somebody else has changed it`,
        );
      const text = means.values.text({ secret });
      const written = { ...guest, passwords: { ...guest.passwords, [account.toLowerCase()]: hashOf(text) } };
      return withOrigin(written, { secret }, `passwords/${account}`, text);
    }, before),
};

const logins: Kind = {
  differences: (guest, { logins: wanted }, { values }) =>
    wanted.flatMap((entry) => {
      const there = guest.sqlServers[entry.server];
      if (there === undefined)
        throw new EngineFailure("SqlUnavailable", `the SQL Server ${entry.server} did not answer a log-on: error 2`);
      const place = `logins/${entry.server}/${entry.login}`;
      return values.hashed(entry, place, there.logins[entry.login] ?? "") ? [] : [place];
    }),
  set: (before, document, means) =>
    document.logins.reduce((guest, entry) => {
      const [place] = logins.differences(guest, { ...document, logins: [entry] }, means);
      const there = guest.sqlServers[entry.server];
      if (place === undefined || there === undefined) return guest;
      if (!there.systemMayAlter || there.logins[entry.login] === undefined)
        throw new EngineFailure("SqlForbidden", `Windows' own account may not change the login ${entry.login}: error 15151`);
      const text = means.values.text(entry);
      const changed = { ...there, logins: { ...there.logins, [entry.login]: hashOf(text) } };
      return withOrigin({ ...guest, sqlServers: { ...guest.sqlServers, [entry.server]: changed } }, entry, place, text);
    }, before),
};

const services: Kind = {
  differences: ({ services: there }, { services: wanted }) =>
    wanted
      .filter(({ name, startType, state, whenPresent }) => {
        const service = there[name];
        if (service === undefined) return whenPresent === undefined;
        return service.startType !== startType || service.state !== state;
      })
      .map(({ name }) => `services/${name}`),
  set: (before, { services: wanted }) =>
    wanted.reduce((guest, { name, startType, state, whenPresent }) => {
      if (guest.services[name] === undefined) {
        if (whenPresent) return guest;
        throw new EngineFailure("ServiceMissing", `there is no service ${name}`);
      }
      return { ...guest, services: { ...guest.services, [name]: { startType, state } } };
    }, before),
};

/** Settings are read when a service starts; a restart ends in a running service, whatever it was before. */
export const restart: (before: GuestState, document: MachineDocument, repaired: string[], afterParts: boolean) => GuestState = (
  before,
  { services: wanted },
  repaired,
  afterParts,
) =>
  wanted.reduce((guest, { name, state, restartAfter }) => {
    const affected =
      afterParts ||
      repaired.some((difference) =>
        restartAfter.some((beginning) => difference.toLowerCase().startsWith(beginning.toLowerCase())),
      );
    const service = guest.services[name];
    if (!affected || restartAfter.length === 0 || state !== "Running" || service === undefined) return guest;
    return {
      ...guest,
      services: { ...guest.services, [name]: { ...service, state: "Running" } },
      restarts: { ...guest.restarts, [name]: (guest.restarts[name] ?? 0) + 1 },
    };
  }, before);

/** In the engine's order. */
export const kinds: Record<string, Kind> = {
  evidence,
  features,
  files,
  certificates,
  smtp,
  registry,
  xml,
  defender,
  firewall,
  tasks,
  groups,
  rights,
  passwords,
  logins,
  services,
};
