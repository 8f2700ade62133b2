/** The document that restarts Windows' SMTP server once for each request: what was asked for is remembered, and the server reads it. Pure. */
import { GUEST_SCHEMA, type GuestDocument } from "./document.ts";

export interface SmtpRestart {
  /** The machine's own, which refuses an older one; it stays as it is. */
  generation: number;
  /** The operation that asks: a run that finds it remembered restarts nothing. */
  request: string;
}

export const smtpRestartDocument = ({ generation, request }: SmtpRestart): GuestDocument => ({
  schema: GUEST_SCHEMA,
  generation,
  registry: [{ path: "HKLM\\SOFTWARE\\Gatehouse\\Guest\\Requests", name: "SmtpRestart", type: "String", value: request }],
  services: [{ name: "SMTPSVC", startType: "Automatic", state: "Running", restartAfter: ["registry"] }],
});
