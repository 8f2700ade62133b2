/** What a partner says about iQ.Suite inside the gateways: chapters 3, 5 and 6 of the manual, each part only where the spec names it. */
import * as z from "zod";

/** A line of text that a registry or an XML file of Windows can hold. */
const line = (longest: number) =>
  z
    .string()
    .min(1)
    .max(longest)
    .refine(
      (text) => !/[\p{Cc}\p{Cs}\u2028\u2029\uFFFE\uFFFF]/u.test(text),
      "must be one line of text without control characters",
    );

/** Of a value in Windows' registry. The manual shows some only in pictures that are lost: whoever has the product's registry open can tell. */
const valueName = line(255).regex(/^[^\\]+$/, "must be the name of a registry value, without its key");

/** Two counts of files in a directory; from each on, a level higher. The manual leaves the counts themselves open: here they belong to the higher level. */
const thresholds = (warning: number, error: number) =>
  z
    .strictObject({
      warning: z.int().min(1).max(1_000_000).default(warning),
      error: z.int().min(1).max(1_000_000).default(error),
    })
    .refine((level) => level.warning < level.error, {
      path: ["error"],
      error: "must be more than warning, which is said from fewer files on",
    })
    .default({ warning, error });

/** Mission B7 (manual, chapter 3.5): the product's own look at the SMTP server's directories, with the manual's numbers where nothing is said. */
export const mailFlowMonitorSchema = z.strictObject({
  checkIntervalInSeconds: z.int().min(60).max(86_400).default(600),
  /** Restarts the SMTP server at the queue's error threshold. */
  restartSmtp: z.boolean().default(true),
  queue: thresholds(25, 50),
  badmail: thresholds(10, 20),
  /** How the product's registry calls its thresholds: without these names only Gatehouse goes by them. */
  thresholdNames: z
    .strictObject({ queueWarning: valueName, queueError: valueName, badmailWarning: valueName, badmailError: valueName })
    .refine((names) => new Set(Object.values(names).map((name) => name.toLowerCase())).size === 4, {
      error: "must be four different names",
    })
    .refine((names) => !Object.values(names).some((name) => /^(CheckTimeout|AutoRestartSMTPSvcEnabled)$/i.test(name)), {
      error: "must not be CheckTimeout or AutoRestartSMTPSvcEnabled, which are no thresholds",
    })
    .optional(),
});

/** An instance on the machine itself, which no network is asked for. */
export const localSqlServer = z
  .string()
  .regex(/^\.(\\[A-Za-z][A-Za-z0-9_$]{0,15})?$/, "must be an instance of SQL Server on the machine: . or .\\NAME");

/** It is replaced at two thirds of it; without one, on request only. */
export const passwordLifetime = z.int().min(30).max(730);

/** Mission B16, B6 (manual, chapters 3.4 and 4.1): what the image does by itself when a machine of it starts for the first time. */
export const automatedSetUpSchema = z
  .strictObject({
    /** Whether the image sets itself up, which is waited for. Left out, an image that is bought does and any other does not. */
    expected: z.boolean().optional(),
    /** Removes its transcript, where the passwords that it made stand in clear. Save them first, or change them: nobody else has them. */
    removeTranscript: z.boolean().default(false),
    /**
     * The login `sa` of the machine's own SQL Server gets a password of ours, which is in the vault. Only where nothing signs in with it,
     * and where Windows' own account (NT AUTHORITY\\SYSTEM) administers SQL Server, which its set-up does not see to by itself.
     */
    sqlServer: z.strictObject({ instance: localSqlServer.default("."), lifetimeInDays: passwordLifetime.optional() }).optional(),
  })
  .refine(({ expected, removeTranscript }) => expected !== false || !removeTranscript, {
    path: ["removeTranscript"],
    error: "needs a set-up that wrote a transcript: leave it out, or expected as well",
  });

/** Secrets that are made by us are nobody's account. */
const OURS = [
  "loop-guid",
  "gateway-admin-password",
  "sql-administrator-password",
  "webclient-client-secret",
  "ews-client-secret",
];

/** By its name; its newest version counts. Who has the vault's role Key Vault Secrets Officer puts it there. */
const secretInVault = z
  .string()
  .regex(/^[0-9a-zA-Z-]{1,127}$/, "must be the name of a secret in the tenant's vault: letters, digits and dashes")
  .refine((name) => !OURS.includes(name.toLowerCase()), {
    error: "is a secret that Gatehouse made for something else; put yours into the vault under another name",
  });

/** Mission B8 (manual, chapter 3.5). The manual doesn't say how the product's registry calls an account's data, so the spec does. */
export const mailReportingSchema = z.strictObject({
  account: z
    .array(
      z
        .strictObject({
          name: valueName.refine((name) => name.toLowerCase() !== "enabled", "is written by itself: leave it out"),
          value: z.union([line(1024), z.int().min(0).max(0xff_ff_ff_ff)]).optional(),
          /** Instead of a value that nobody may read. */
          secret: secretInVault.optional(),
        })
        .refine(({ value, secret }) => (value === undefined) !== (secret === undefined), {
          path: ["value"],
          error: "give either value or secret",
        }),
    )
    .min(1, "name at least one value of the account that notifications are sent with")
    .max(20)
    .refine((all) => new Set(all.map(({ name }) => name.toLowerCase())).size === all.length, { error: "names a value twice" }),
});

/** Absolute, on a drive; what would lead a reader elsewhere is refused. */
export const windowsFile = line(240).regex(
  /^[A-Za-z]:(\\(?!\.{1,2}(\\|$))[^\\/:*?"<>|]+)+$/,
  "must be an absolute path in Windows such as C:\\ProgramData\\Contoso\\users.ldf",
);

/** Mission B10, B11 (manual, chapters 5.2 and 5.3): WebClient asks Entra who somebody is, by the applications that onboarding makes. */
export const webClientDirectorySchema = z.strictObject({
  /** Names of groups in Entra whose members administer the WebClient. */
  adminGroups: z
    .array(
      line(256).regex(/^[^;]+$/, "must be a group's name without a semicolon, which separates names in the WebClient's file"),
    )
    .min(1, "name at least one group in Entra whose members may administer the WebClient")
    .max(20),
  /** Where the WebClient reads groups from an LDIF file. Left out: where the LDIF generator writes it; without one, from Entra. */
  ldifFile: windowsFile.optional(),
  groupSearchDepth: z.int().min(1).max(50).default(10),
  /**
   * Begins the WebClient's permissions anew, once on each machine: from then on only members of the groups get in. `flag` is the element of
   * dynamic_configuration.xml that does it, which the manual shows only in a picture that is lost.
   */
  resetSecurityContext: z
    .strictObject({ flag: line(100).regex(/^[A-Za-z_][\w.-]*$/, "must be the name of an element in dynamic_configuration.xml") })
    .optional(),
});

const account = z.strictObject({ user: line(254), password: secretInVault });

/** Mission B12 (manual, chapter 5.4): the product's own export of users and groups, with the names of its file in our words. */
export const ldifGeneratorSchema = z.strictObject({
  /** Somebody who administers the WebClient. */
  administrator: account,
  /** The Microsoft 365 user that the export signs in as. */
  synchronizationUser: account,
  groupSearchDepth: z.int().min(1).max(50).default(5),
  /** Attributes of the customer's own, which somebody enters in LdifGenCfgCustom.xml. */
  customProperties: z.boolean().default(false),
  /** Where the file goes instead; only where one tenant is on the machine. */
  customPath: windowsFile.optional(),
});

/** Mission B13 (manual, chapter 6.1): the product reads mailboxes as an application that is somebody else's; ours needs no entry here. */
export const exchangeWebServicesSignInSchema = z.strictObject({
  clientId: z.uuid("must be an application's client id").transform((id) => id.toLowerCase()),
  clientSecret: secretInVault,
});

export const iqSuiteSchema = z.strictObject({
  automatedSetUp: automatedSetUpSchema.optional(),
  /** Mission B6, D4: a task for each password that only a person can change, once it is that old. */
  passwordReminder: z.strictObject({ everyInDays: z.int().min(30).max(730) }).optional(),
  monitoring: mailFlowMonitorSchema.optional(),
  mailReporting: mailReportingSchema.optional(),
  webClient: webClientDirectorySchema.optional(),
  ldifGenerator: ldifGeneratorSchema.optional(),
  exchangeWebServices: exchangeWebServicesSignInSchema.optional(),
});

/** What the parts need of the rest of the spec. */
export function iqSuiteConflicts(
  { powerShellApplication }: { powerShellApplication?: boolean | undefined },
  { iqSuite, exchangeWebServices }: { iqSuite?: IqSuite | undefined; exchangeWebServices?: unknown },
): { path: string[]; message: string }[] {
  return [
    ...(iqSuite?.webClient !== undefined && powerShellApplication !== true
      ? [{ path: ["webClient"], message: "needs the application for PowerShell: set microsoft365.powerShellApplication to true" }]
      : []),
    ...(iqSuite?.exchangeWebServices !== undefined && exchangeWebServices !== undefined
      ? [
          {
            path: ["exchangeWebServices"],
            message:
              "is not needed beside gateway.exchangeWebServices, which makes application and secret: leave one of the two out",
          },
        ]
      : []),
  ];
}

export type IqSuite = z.output<typeof iqSuiteSchema>;
export type MailFlowMonitor = z.output<typeof mailFlowMonitorSchema>;

/** Counts from which the queue and badmail are told as a warning or an error. */
export interface Thresholds {
  warning: number;
  error: number;
}
