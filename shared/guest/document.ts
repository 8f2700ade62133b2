/** The guest document: what a machine's Windows is to look like inside, as data that the static engine tests and sets. */
import * as z from "zod";
import { localSqlServer } from "../tenants/iq-suite.ts";

/** Grows with every change that an older engine would misread. */
export const GUEST_SCHEMA = 2;

/**
 * One line of text as it can reach a registry value, an XML node or an argument: no control character, which XML can't hold and a line
 * can't carry, and no half of a surrogate pair, which UTF-8 can't. Everything else arrives as it was sent, quotes and marks included.
 */
const oneLine = (longest: number) =>
  z
    .string()
    .max(longest)
    .refine((text) => !/[\p{Cc}\p{Cs}\u2028\u2029\uFFFE\uFFFF]/u.test(text), "must hold no control character");

const secretReference = z.strictObject({
  vaultUrl: z.url({ protocol: /^https$/ }).max(256),
  // Key Vault's own rules for names and versions: what stands here becomes part of a URL.
  name: z.string().regex(/^[0-9a-zA-Z-]{1,127}$/, "must be a secret's name in Key Vault"),
  version: z.string().regex(/^[0-9a-zA-Z]{1,64}$/, "must be a secret's version in Key Vault"),
});

/** A value that stands in the document, or one that the machine pulls from its vault itself, with something in front of it if need be. */
const literalOrSecret = {
  value: oneLine(4096).optional(),
  secret: secretReference.optional(),
  prefix: oneLine(256).optional(),
};
const oneOf = ({ value, secret }: { value?: unknown; secret?: unknown }): boolean =>
  (value === undefined) !== (secret === undefined);
const ONE_OF = "must have either a value or a secret";

/** Absolute, on drive letters only, and without the characters and steps that would lead a reader elsewhere. */
const windowsPath = oneLine(240).regex(
  /^[A-Za-z]:(\\(?!\.{1,2}(\\|$))[^\\/:*?"<>|]+)+$/,
  "must be an absolute Windows path such as C:\\ProgramData\\Gatehouse\\settings.json",
);

/** `HKLM` only: the engine is SYSTEM, who has no user hive of its own that anybody reads. */
const registryPath = oneLine(240).regex(/^HKLM(\\[^\\]+)+$/, "must be a key under HKLM");

const registryValue = z
  .strictObject({
    path: registryPath,
    name: oneLine(255).min(1),
    type: z.enum(["String", "ExpandString", "MultiString", "DWord", "QWord"]),
    value: z.union([oneLine(4096), z.array(oneLine(1024).min(1)).min(1).max(100), z.int().min(0)]).optional(),
    secret: secretReference.optional(),
    prefix: oneLine(256).optional(),
  })
  .refine(oneOf, ONE_OF)
  .refine(({ type, value, secret }) => {
    if (type === "MultiString") return secret === undefined && Array.isArray(value);
    if (type === "DWord") return typeof value === "number" && value <= 0xff_ff_ff_ff;
    if (type === "QWord") return typeof value === "number" && value <= Number.MAX_SAFE_INTEGER;
    return secret !== undefined || typeof value === "string";
  }, "must have a value of its type");

/**
 * A part of XPath that needs no escaping: element names from the root down, a place named by an attribute's value where several are alike,
 * an attribute at the end. No namespaces, functions or axes.
 */
const xmlPath = oneLine(512).regex(
  /^(\/[A-Za-z_][\w.-]*(\[@[A-Za-z_][\w.-]*='[\w .:-]*'\])?)+(\/@[A-Za-z_][\w.-]*)?$/,
  "must be a path of element names such as /configuration/userData/Guid or /settings/add[@key='mode']/@value",
);

const xmlNode = z
  .strictObject({
    path: xmlPath,
    /** An element or attribute that is not there is made, where the place for it is. */
    create: z.literal(true).optional(),
    /** Written once for this word, whatever becomes of it then: the product takes a request out again when it has heard it. */
    once: z
      .string()
      .regex(/^[a-z0-9-]{1,64}$/)
      .optional(),
    /** Where the product keeps the secret after it has encrypted it and emptied the node itself. */
    twin: xmlPath.optional(),
    ...literalOrSecret,
  })
  .refine(oneOf, ONE_OF)
  .refine(
    ({ twin, secret, prefix }) => twin === undefined || (secret !== undefined && prefix === undefined),
    "a twin is of a secret",
  )
  .refine(({ once, secret }) => once === undefined || secret === undefined, "a secret is never written only once")
  .refine(
    ({ create, path }) => create === undefined || !path.endsWith("]"),
    "what is made can't be named by an attribute's value",
  );

const serviceName = oneLine(256).regex(/^[A-Za-z0-9][A-Za-z0-9 ._$-]*$/, "must be a service's name");
const accountName = oneLine(104).regex(
  /^([A-Za-z0-9.-]{1,15}\\)?[^\\/"[\]:;|=,+*?<>@]{1,64}$/,
  "must be an account's name such as CONTOSO\\svc-ucm",
);
/** Windows' own rules for the name of a local user, and no domain before it. */
const localAccount = /^(?![. ]+$)[^"/\\[\]:;|=,+*?<>@]+$/;
const ipv4Range = z.union([z.ipv4(), z.cidrv4(), z.literal("LocalSubnet")]);

const portRange = z
  .string()
  .regex(/^\d{1,5}-\d{1,5}$/)
  .refine((range) => {
    const [first = 0, last = 0] = range.split("-").map(Number);
    return first >= 1 && first < last && last <= 65_535;
  }, "must be a range of ports such as 49241-65535");

export const guestDocumentSchema = z.strictObject({
  schema: z.literal(GUEST_SCHEMA),
  /** Grows with every change of meaning; the machine refuses a lower one than it has seen. */
  generation: z.int().min(1).max(2_147_483_647),
  /** A document that doesn't fit into one run is cut into parts, which the machine takes in order. */
  part: z.strictObject({ number: z.int().min(1), of: z.int().min(2).max(99) }).optional(),
  /**
   * A document beside the one that says how the machine is to be: with generations of its own, so that neither of the two outdates the
   * other. Left out: that one.
   */
  beside: z.enum(["passwords", "logins"]).optional(),
  /**
   * What has to be there, with nobody writing it any more, before anything is changed: an image's own set-up has to have ended (mission
   * B16). A file that may be gone already only has to be in nobody's hands while it is there.
   */
  evidence: z
    .array(z.strictObject({ file: windowsPath, path: xmlPath.optional(), whenPresent: z.literal(true).optional() }))
    .optional(),
  /** Windows features by their name for Install-WindowsFeature. */
  features: z.array(z.string().regex(/^[A-Za-z0-9-]{1,64}$/)).optional(),
  files: z
    .array(
      z
        .strictObject({
          path: windowsPath,
          /** Written as UTF-8 without a mark, exactly so. */
          content: z
            .string()
            .max(65_536)
            .refine((text) => text.isWellFormed() && !text.includes("\0"), "must be text")
            .optional(),
          /** One of our own static scripts, which takes the content's place when the document is sent. */
          script: z.enum(["heartbeat", "directory"]).optional(),
          secret: secretReference.optional(),
          absent: z.literal(true).optional(),
        })
        .refine(
          ({ content, script, secret, absent }) =>
            [content, script, secret, absent].filter((one) => one !== undefined).length === 1,
          "must have content, a script, a secret, or be absent",
        ),
    )
    .optional(),
  certificates: z
    .array(
      z
        .strictObject({
          /** SHA-1 of the certificate, as Windows names it. */
          thumbprint: z.string().regex(/^[0-9A-F]{40}$/, "must be a thumbprint in upper case"),
          store: z.enum(["My", "WebHosting", "CA", "Root"]),
          /** Key Vault's secret of the certificate: PKCS #12 in base64. */
          secret: secretReference.optional(),
          absent: z.literal(true).optional(),
        })
        .refine(({ secret, absent }) => (secret === undefined) !== (absent === undefined), "must have a secret or be absent"),
    )
    .optional(),
  smtp: z
    .strictObject({
      fqdn: oneLine(253).regex(/^[A-Za-z0-9.-]+$/),
      smartHost: oneLine(253).regex(/^[A-Za-z0-9.-]+$/),
      inboundTls: z.boolean(),
      outboundTls: z.boolean(),
      /** Recipient domains that anybody's mail is relayed for. */
      relayFor: z.array(oneLine(253).regex(/^[A-Za-z0-9.-]+$/)),
      /** Addresses and IPv4 ranges whose mail is relayed to every domain; none when left out. */
      relayFrom: z.array(z.union([z.ipv4(), z.cidrv4()])).optional(),
    })
    .optional(),
  registry: z.array(registryValue).optional(),
  xml: z
    .array(
      z.strictObject({
        file: windowsPath,
        /** A file that is not there is left alone; without this it is a failure. */
        whenPresent: z.literal(true).optional(),
        nodes: z.array(xmlNode).min(1),
      }),
    )
    .optional(),
  defender: z.strictObject({ exclusions: z.array(windowsPath) }).optional(),
  firewall: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[A-Za-z0-9 .-]{1,100}$/),
        port: z.union([z.int().min(1).max(65_535), portRange]),
        protocol: z.enum(["TCP", "UDP"]),
        /** Inbound when left out. */
        direction: z.literal("Outbound").optional(),
        /** Whom it is open to; everybody when left out. */
        sources: z.array(ipv4Range).min(1).optional(),
      }),
    )
    .optional(),
  /** Names of all our firewall rules, where this part has only some of them: what is named nowhere is taken away. */
  firewallNames: z.array(z.string()).optional(),
  tasks: z
    .array(
      z.strictObject({
        name: z.string().regex(/^[A-Za-z0-9 -]{1,64}$/),
        execute: windowsPath,
        arguments: oneLine(1024).optional(),
        everyInMinutes: z.int().min(1).max(1440),
      }),
    )
    .optional(),
  /** Members that a local group has to have; others it has are left alone. */
  groups: z
    .array(
      z.strictObject({
        group: z.string().regex(/^S-1-5-32-\d{3,4}$/, "must be the SID of a built-in group such as S-1-5-32-544"),
        members: z.array(accountName).min(1),
      }),
    )
    .optional(),
  rights: z
    .array(
      z.strictObject({
        right: z.string().regex(/^Se[A-Za-z]{3,60}(Right|Privilege)$/, "must be a user right such as SeServiceLogonRight"),
        accounts: z.array(accountName).min(1),
      }),
    )
    .optional(),
  /** Passwords of the machine's own accounts. */
  passwords: z
    .array(
      z.strictObject({
        account: oneLine(20).regex(localAccount, "must be the name of a local account such as gatehouse"),
        secret: secretReference,
        /** Those that it may have until then: by one that it has it is changed, so that what Windows encrypted for it stays readable. */
        earlier: z.array(secretReference).max(2).optional(),
        /** Where it has none of them: set all the same. Without this it is a failure. */
        reset: z.literal(true).optional(),
      }),
    )
    .optional(),
  /** Passwords of logins in a SQL Server on the machine, given by Windows' own account. */
  logins: z
    .array(
      z.strictObject({
        server: localSqlServer,
        login: oneLine(128).regex(/^[A-Za-z_][\w]*$/, "must be a login of SQL Server's own such as sa"),
        secret: secretReference,
      }),
    )
    .optional(),
  services: z
    .array(
      z.strictObject({
        name: serviceName,
        startType: z.enum(["Automatic", "Manual", "Disabled"]),
        state: z.enum(["Running", "Stopped"]),
        /** Beginnings of differences after whose repair it is restarted, such as `smtp` or `xml/C:\Config.xml`. */
        restartAfter: z.array(oneLine(512).min(1)).optional(),
        /** A service that is not there is left alone; without this it differs for ever. */
        whenPresent: z.literal(true).optional(),
      }),
    )
    .optional(),
});

export type GuestDocument = z.output<typeof guestDocumentSchema>;
/** The sections of a document, in the order in which the engine sets them: nothing listens before it is configured, nothing starts before all is there. */
export const guestKinds = [
  "evidence",
  "features",
  "files",
  "certificates",
  "smtp",
  "registry",
  "xml",
  "defender",
  "firewall",
  "tasks",
  "groups",
  "rights",
  "passwords",
  "logins",
  "services",
] as const satisfies (keyof GuestDocument)[];
