/** Every setting: its name, what it means, how it is read, and production's value in the sample. The only reader of the process environment. */
import * as z from "zod";
import { type CloudEnvironment, cloudEnvironmentSchema, cloudEnvironments } from "./environment.ts";
import { ControlPlaneError } from "./errors.ts";

/** ISO 8601 durations of days, hours, minutes and seconds, such as `PT30S` or `P7D`; read as seconds. */
const seconds = z.iso.duration().transform((text, context) => {
  const match = /^P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?$/.exec(text);
  if (!match) {
    context.addIssue({ code: "custom", message: "must be a duration of days, hours, minutes and seconds, such as PT30S" });
    return z.NEVER;
  }
  const [days = 0, hours = 0, minutes = 0, rest = 0] = match.slice(1).map((part) => Number(part ?? 0));
  return ((days * 24 + hours) * 60 + minutes) * 60 + rest;
});

/** Five or six fields; the Functions host reads them and refuses what it can't read. */
const schedule = z.string().regex(/^\S+(?: \S+){4,5}$/, "must have the fields [second] minute hour day month day-of-week");

/** The zones' own fields are read where they are used. */
const parseZones = (text: string, context: z.RefinementCtx): unknown => {
  if (text === "default") return text;
  try {
    return JSON.parse(text);
  } catch {
    context.addIssue({ code: "custom", message: "must be `default` or a JSON array of zones" });
    return z.NEVER;
  }
};

const whole = z.string().regex(/^\d+$/, "must be a whole number").transform(Number);

const mailboxOutside = z.string().transform((text, context): { organization: string; address: string } | undefined => {
  if (text === "none") return undefined;
  const [organization, address, ...rest] = text.split("/");
  if (z.uuid().safeParse(organization).success && z.email().safeParse(address).success && rest.length === 0)
    return { organization: organization ?? "", address: address ?? "" };
  context.addIssue({ code: "custom", message: "must be `none`, or an Entra tenant's id, a slash and a mail address" });
  return z.NEVER;
});

/** Deployments may leave it out. */
const orNone = (schema: z.ZodType<string, string>) =>
  z.string().transform((text, context): string | undefined => {
    if (text === "none") return undefined;
    const parsed = schema.safeParse(text);
    if (parsed.success) return parsed.data;
    context.addIssue({
      code: "custom",
      message: `must be \`none\`, or: ${parsed.error.issues.map(({ message }) => message).join("; ")}`,
    });
    return z.NEVER;
  });

const listNames = z
  .string()
  .regex(/^[a-z0-9-]+(,[a-z0-9-]+)*$/, "must be `none` or ids with commas between")
  .transform((text) => (text === "none" ? [] : text.split(",")));

const environment = z.string().transform((text, context): CloudEnvironment => {
  const builtIn = cloudEnvironments[text];
  if (builtIn) return builtIn;
  try {
    return cloudEnvironmentSchema.parse(JSON.parse(text));
  } catch (error) {
    context.addIssue({
      code: "custom",
      message: `must be ${Object.keys(cloudEnvironments).join(", ")} or a cloud environment as JSON (${error instanceof Error ? error.message : "unreadable"})`,
    });
    return z.NEVER;
  }
});

interface Setting<Value> {
  sentence: string;
  schema: z.ZodType<Value, string>;
  /** What `local.settings.sample.json` shows: production's value, or a placeholder. */
  sample: string;
}

const setting = <Value>(sentence: string, schema: z.ZodType<Value, string>, sample: string): Setting<Value> => ({
  sentence,
  schema,
  sample,
});

export const settings = {
  CLOUD_ENVIRONMENT: setting(
    "Where the clouds are: AzureCloud, AzureUSGovernment, AzureChinaCloud, or an environment as JSON.",
    environment,
    "AzureCloud",
  ),
  APPLICATION_ID: setting(
    "Client id of Gatehouse's multi-tenant application; the audience of the API's tokens.",
    z.uuid(),
    "00000000-0000-4000-8000-000000000001",
  ),
  HOME_TENANT_ID: setting(
    "Entra tenant of that application; operators sign in there.",
    z.uuid(),
    "00000000-0000-4000-8000-000000000002",
  ),
  MANAGED_IDENTITY_CLIENT_ID: setting(
    "Client id of the function app's user-assigned managed identity, the application's federated credential.",
    z.uuid(),
    "00000000-0000-4000-8000-000000000003",
  ),
  STATE_STORAGE: setting(
    "Where state is kept: a storage account's name (reached with the managed identity) or a connection string.",
    z.string().min(3),
    "UseDevelopmentStorage=true",
  ),
  PLATFORM_VAULT_URL: setting(
    "Key Vault of Gatehouse itself; its signing key lives there.",
    z.url(),
    "https://gatehouse.vault.azure.net",
  ),
  PUBLIC_URL: setting(
    "Base URL that partners and admins' browsers reach this app at.",
    z.url().transform((url) => url.replace(/\/$/, "")),
    "https://gatehouse.example",
  ),
  CONSENT_CHECK_INTERVAL: setting("How often a missing admin consent or Azure access is looked for.", seconds, "PT5M"),
  CONSENT_EXPIRY: setting("How long an onboarding waits for an admin before it gives up.", seconds, "P14D"),
  CONSENTS_SCHEDULE: setting(
    "When consents that were given are looked at again (NCRONTAB with seconds, UTC).",
    schedule,
    "0 30 4 * * *",
  ),
  SPF_SCHEDULE: setting("When SPF records that were right are looked at again (NCRONTAB).", schedule, "0 50 4 * * *"),
  TASKS_SCHEDULE: setting(
    "When tasks of people are looked at: done, to be reminded of, or expired (NCRONTAB with seconds, UTC).",
    schedule,
    "0 10 * * * *",
  ),
  AUDIT_ANCHORS_SCHEDULE: setting(
    "When the ends of the audit log's chains are written to where nobody can change them (NCRONTAB).",
    schedule,
    "0 5 * * * *",
  ),
  DIRECTORIES_SCHEDULE: setting("When customers' directories are looked at for changes (NCRONTAB).", schedule, "0 20 * * * *"),
  DRIFT_SCHEDULE: setting(
    "When it is looked for tenants whose turn it is to be compared (NCRONTAB).",
    schedule,
    "0 */15 * * * *",
  ),
  DRIFT_SHORTEST_INTERVAL: setting("How often a tenant is compared that changed lately.", seconds, "PT1H"),
  DRIFT_LONGEST_INTERVAL: setting("How seldom a quiet tenant is compared.", seconds, "PT12H"),
  DRIFT_REPAIRS_A_DAY: setting("How often a day the same property is brought back by policy.", whole, "3"),
  PROBE_INTERVAL: setting(
    "How often a probe mail is sent and looked for while Exchange Online's rules propagate.",
    seconds,
    "PT30S",
  ),
  PROBE_DEADLINE: setting(
    "How long a probe mail may take to come back through the gateway, propagation included.",
    seconds,
    "PT90M",
  ),
  BYPASS_SETTLE: setting(
    "For how long probe mails have to go round a gateway before its bypass counts as seen everywhere.",
    seconds,
    "PT5M",
  ),
  ADDRESS_SETTLE: setting(
    "How long Microsoft 365 and DNS get to learn of a gateway's new address or machine, or of its certificate's new name, before mail comes by it, and mail by its former one to arrive.",
    seconds,
    "PT30M",
  ),
  ADDRESS_RELEASE_AFTER: setting("How long a gateway's former address is held, so that there is a way back.", seconds, "P7D"),
  OFFBOARDING_SETTLE: setting(
    "For how long probe mails have to go round a gateway before the removal of its forwarding rule counts as seen everywhere.",
    seconds,
    "PT30M",
  ),
  OFFBOARDING_DRAIN_DEADLINE: setting(
    "How long mail in the queue of a gateway that is taken away may take to leave.",
    seconds,
    "PT6H",
  ),
  CANARY_MAILBOX: setting(
    "The platform's own mailbox outside all customers, for canary mails, mails to partners' people, and for asking Microsoft about a blocked address: Entra tenant id, a slash and the address; or `none`.",
    mailboxOutside,
    "none",
  ),
  RETRY_FIRST_WAIT: setting("Wait before a failed step's second try; it doubles with each try.", seconds, "PT5S"),
  RETRY_LONGEST_WAIT: setting("The longest wait between two tries of a step.", seconds, "PT2M"),
  RETRY_TRIES: setting("Tries of a step in all, the first one included.", whole, "12"),
  OPERATION_DEADLINE: setting("How long one piece of the cloud's own long-running work may take.", seconds, "PT1H"),
  SERVICE_BUS: setting(
    "Where our messages are sent: a Service Bus namespace's host (reached with the managed identity) or a connection string.",
    z.string().min(3),
    "gatehouse.servicebus.windows.net",
  ),
  GATEWAYS_SCHEDULE: setting(
    "When it is looked which of the fleet's virtual machines are down, silent or unwell (NCRONTAB with seconds, UTC).",
    schedule,
    "0 */5 * * * *",
  ),
  FLEET_SCHEDULE: setting(
    "When all of the fleet's virtual machines are asked for, not only those that are down (NCRONTAB).",
    schedule,
    "0 25 * * * *",
  ),
  OUTAGES_SCHEDULE: setting(
    "When it is looked whose mail goes round gateways that are down, and back, by their spec's own policy (NCRONTAB).",
    schedule,
    "0 2-59/5 * * * *",
  ),
  HEARTBEAT_INTERVAL: setting(
    "How often a machine reports; one of which three reports in a row are missing is silent.",
    seconds,
    "PT10M",
  ),
  BLOCKLISTS_SCHEDULE: setting("When gateways' addresses are looked up in DNS blocklists (NCRONTAB).", schedule, "0 * * * * *"),
  ROTATION_SCHEDULE: setting("When credentials near their expiry are looked for (NCRONTAB).", schedule, "0 0 3 * * *"),
  NOTIFICATIONS_SCHEDULE: setting(
    "When it is looked for notifications that got stuck on their way (NCRONTAB with seconds, UTC).",
    schedule,
    "15 */5 * * * *",
  ),
  DNS_BLOCKLISTS: setting(
    "The DNS blocklists that are asked: `default`, or a JSON array of ids of known lists, of changes to those, and of lists of one's own.",
    z
      .string()
      .transform(parseZones)
      .pipe(z.union([z.literal("default"), z.array(z.unknown())])),
    "default",
  ),
  BLOCKLISTS_INTERVAL: setting("How often a clean address is looked up.", seconds, "PT1H"),
  LISTING_CONFIRM_AFTER: setting("How long an address must have been seen listed before it counts as listed.", seconds, "PT1M"),
  DELISTING_FIRST_WAIT: setting("Wait before a delisting is first verified; it doubles with each try.", seconds, "PT15M"),
  DELISTING_DEADLINE: setting(
    "How long a delisting may take in all before a person is asked to step in; an eighth of it is given for most things.",
    seconds,
    "P8D",
  ),
  DELISTING_PAUSED_LISTS: setting(
    "Blocklists that nobody asks at present, by their ids with commas between; or `none`.",
    listNames,
    "none",
  ),
  ROTATION_OVERLAP: setting("How long the replaced credential stays valid after the new one is in use.", seconds, "PT24H"),
  CERTIFICATE_OVERLAP: setting("How long gateways keep the certificate that they showed before.", seconds, "P7D"),
  ACME_DIRECTORY: setting(
    "Directory of the ACME server that signs gateways' certificates where their spec says so, such as https://acme-v02.api.letsencrypt.org/directory; naming it agrees to the server's terms of service. Or `none`.",
    orNone(z.url({ protocol: /^https$/, error: "an https URL" })),
    "none",
  ),
  ACME_CONTACT: setting(
    "Mail address that the ACME server may write to about its account; or `none`.",
    orNone(z.email({ error: "a mail address" })),
    "none",
  ),
  ACME_EXTERNAL_ACCOUNT: setting(
    "Key id of the account that the ACME server's operator knows this deployment by (external account binding); its HMAC key is the secret `acme-external-account-key` in the platform's vault. Or `none`.",
    orNone(z.string().min(1)),
    "none",
  ),
  ACME_CHECK_INTERVAL: setting("How often an order at the ACME server is looked at.", seconds, "PT10S"),
  CLIENT_SECRET_LIFETIME: setting("How long a new client secret of the web client application is valid.", seconds, "P180D"),
  LOG_LEVEL: setting(
    "Least level that is logged: debug, information, warning or error.",
    z.enum(["debug", "information", "warning", "error"]),
    "information",
  ),
} as const satisfies Record<string, Setting<unknown>>;

export type Config = { readonly [Name in keyof typeof settings]: z.output<(typeof settings)[Name]["schema"]> };

/** Reads all settings and reports every wrong one at once. Secrets are no settings: they live in Key Vault. */
export function readConfig(from: Record<string, string | undefined> = process.env): Config {
  const problems: string[] = [];
  const entries = Object.entries(settings).map(([name, { schema, sentence }]) => {
    const value = from[name];
    const parsed = schema.safeParse(value ?? "");
    if (parsed.success) return [name, parsed.data];
    const why = value === undefined ? "is missing" : parsed.error.issues.map((issue) => issue.message).join("; ");
    problems.push(`${name} ${why}. ${sentence}`);
    return [name, undefined];
  });
  if (problems.length > 0) throw new ControlPlaneError("SettingsInvalid", `settings are wrong:\n  ${problems.join("\n  ")}`);
  return Object.fromEntries(entries) as Config;
}
