/** Objects of one kind in an organisation of Exchange Online, as far as a record tells of them. */
import { answered, type Cmdlet, tookEffect, words } from "./record.ts";

export interface Known {
  /** In lower case: name and GUID. */
  names: Set<string>;
  settings: Record<string, unknown>;
  removed: boolean;
}

export interface Objects {
  /** Those that stand. */
  all(): Known[];
  find(name: unknown): Known | undefined;
  /** What the cmdlet has changed, if anything. */
  take(cmdlet: Cmdlet): Known | undefined;
}

/** What is read may be older than what was written: an answer tells names, and of an object that nobody knew yet what it is. */
export function createObjects(noun: "TransportRule" | "InboundConnector" | "OutboundConnector"): Objects {
  const known: Known[] = [];
  const all = (): Known[] => known.filter(({ removed }) => !removed);
  const find = (name: unknown): Known | undefined =>
    all().find(({ names }) => typeof name === "string" && names.has(name.toLowerCase()));

  function see(shown: Record<string, unknown>): void {
    const names = namesOf(shown);
    const guid = words(shown["Guid"])[0] ?? "";
    if (known.some((one) => one.names.has(guid))) return;
    const nameless = all().find((one) => one.names.size === 1 && names.some((name) => one.names.has(name)));
    if (nameless) for (const name of names) nameless.names.add(name);
    else known.push({ names: new Set(names), settings: shown, removed: false });
  }

  function take({ name, parameters, value, exchange }: Cmdlet): Known | undefined {
    const [verb = "", what] = name.split("-");
    if (what !== noun) return undefined;
    if (verb === "Get" && answered(exchange)) value.forEach(see);
    if (!tookEffect(exchange)) return undefined;
    if (verb === "New") {
      const names = words([parameters["Name"], ...value.flatMap(namesOf)].filter(Boolean));
      for (const earlier of known) if (names.some((one) => earlier.names.has(one))) earlier.removed = true;
      const made: Known = { names: new Set(names), settings: { ...parameters }, removed: false };
      known.push(made);
      return made;
    }
    const one = find(parameters["Identity"]);
    if (!one) return undefined;
    if (verb === "Set") {
      const { Identity: _, ...changed } = parameters;
      Object.assign(one.settings, changed);
      for (const given of words(changed["Name"] ?? [])) one.names.add(given);
    } else if (verb === "Enable" || verb === "Disable")
      Object.assign(one.settings, { Enabled: verb === "Enable", State: `${verb}d` });
    else if (verb === "Remove") one.removed = true;
    else return undefined;
    return one;
  }

  return { all, find, take };
}

const namesOf = (shown: Record<string, unknown>): string[] =>
  words([shown["Name"], shown["Guid"], shown["Identity"]].filter(Boolean));

export const enabled = ({ settings, removed }: Known): boolean =>
  !removed && settings["Enabled"] !== false && settings["State"] !== "Disabled" && (settings["Mode"] ?? "Enforce") === "Enforce";

/** A rule that sends mail to the gateway. */
export const forwards = ({ settings }: Known): boolean => words(settings["RouteMessageOutboundConnector"]).length > 0;
/** A rule that says of the gateway's mail that it was looked at. */
export const approves = ({ settings }: Known): boolean => words(settings["SetSCL"]).includes("-1");

const PEOPLE = ["From", "SentTo"];
const MEMBERS = ["FromMemberOf", "SentToMemberOf"];

/** Whether a rule reaches further than to one mailbox. Conditions all have to hold, so that who is named alone says how far it reaches. */
export const beyond = (mailbox: string, { settings }: Known): boolean => {
  const people = words(PEOPLE.flatMap((by) => settings[by] ?? []));
  return people.length === 0 || people.some((one) => one !== mailbox.toLowerCase());
};

/** Nobody is named: a rule for whole domains. */
export const everybody = ({ settings }: Known): boolean =>
  words([...PEOPLE, ...MEMBERS].flatMap((by) => settings[by] ?? [])).length === 0;
