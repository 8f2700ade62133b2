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
    .optional(),
});

/** Mission B16, B6 (manual, chapters 3.4 and 4.1): what the image does by itself when a machine of it starts for the first time. */
export const automatedSetUpSchema = z
  .strictObject({
    /** Whether the image sets itself up, which is waited for. Left out, an image that is bought does and any other does not. */
    expected: z.boolean().optional(),
    /** Removes its transcript, where the passwords that it made stand in clear. Save them first, or change them: nobody else has them. */
    removeTranscript: z.boolean().default(false),
  })
  .refine(({ expected, removeTranscript }) => expected !== false || !removeTranscript, {
    path: ["removeTranscript"],
    error: "needs a set-up that wrote a transcript: leave it out, or expected as well",
  });

export const iqSuiteSchema = z.strictObject({
  automatedSetUp: automatedSetUpSchema.optional(),
  monitoring: mailFlowMonitorSchema.optional(),
});

export type IqSuite = z.output<typeof iqSuiteSchema>;
export type MailFlowMonitor = z.output<typeof mailFlowMonitorSchema>;

/** Counts from which the queue and badmail are told as a warning or an error. */
export interface Thresholds {
  warning: number;
  error: number;
}
