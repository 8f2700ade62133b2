/** Mail that goes on and on while something happens to the way it takes: what arrived, how often, and which way it went. */
import { setTimeout as pause } from "node:timers/promises";
import { expect, vi } from "vitest";
import { headerValues, subjectOf } from "../../infra/local/clouds/mail/message.ts";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { Customer, OnboardingPlatform } from "./onboarding.ts";

export type Way = "through" | "around" | "unmarked";

export interface MailStream {
  /** Sends one now and waits for it: which way it took. */
  one(subject: string): Promise<Way>;
  /** Ends the stream when everything has arrived, each mail once and nothing returned; gives how many took which way. */
  end(): Promise<Record<Way, number>>;
}

const EVERY_MILLISECONDS = 120;

/** From a colleague, who is no pilot, to the pilot. */
export function streamOfMail(
  platform: OnboardingPlatform,
  { spec, watched }: Customer,
  everyMilliseconds: number = EVERY_MILLISECONDS,
): MailStream {
  const { organization, domains } = watched;
  const { peers, organizations } = platform.clouds.platform;
  const [pilot = ""] = spec.pilot.addresses;
  const sender = `stream@${domains[0]}`;
  const known = organizations.get(organization);
  if (known && !known.mailboxes.includes(sender))
    organizations.set(organization, { ...known, mailboxes: [...known.mailboxes, sender] });
  const send = async (subject: string): Promise<void> => {
    const lines = [`From: <${sender}>`, `To: <${pilot}>`, `Subject: ${subject}`, `Message-ID: <${subject}@test.example>`];
    const mime = [...lines, "", "Hello.", ""].join("\r\n");
    await peers.submitMail?.(organization, { envelopeFrom: sender, recipients: [pilot], mime });
  };
  const arrived = (subject: string): string[] =>
    (peers.messagesIn?.(organization, pilot) ?? []).map(({ mime }) => mime).filter((mime) => subjectOf(mime) === subject);
  const wayOf = (mime: string): Way => {
    const [mark] = headerValues(mime, "X-iqsuite-process");
    return mark === undefined ? "unmarked" : mark.startsWith("bypassed") ? "around" : "through";
  };
  const waitFor = (subject: string): Promise<string> =>
    vi.waitUntil(() => arrived(subject)[0], { timeout: 60_000, interval: 25 });

  const prefix = `stream-${Date.now()}`;
  let sent = 0;
  const ending = new AbortController();
  const running = (async () => {
    while (!ending.signal.aborted) {
      await send(`${prefix}-${sent}`);
      sent += 1;
      await pause(everyMilliseconds);
    }
  })();

  return {
    one: async (subject) => {
      await send(subject);
      return wayOf(await waitFor(subject));
    },
    end: async () => {
      ending.abort();
      await running;
      const ways: Record<Way, number> = { through: 0, around: 0, unmarked: 0 };
      for (let index = 0; index < sent; index++) {
        const subject = `${prefix}-${index}`;
        ways[wayOf(await waitFor(subject))] += 1;
        expect(arrived(subject), `${subject} arrived once`).toHaveLength(1);
      }
      const returned = (await platform.record()).filter(({ method, url }) => method === "NDR" && url.includes(organization));
      expect(
        returned.map(({ requestBody }) => requestBody),
        "nothing was returned to its sender",
      ).toEqual([]);
      return ways;
    },
  };
}

/** What was written in a customer's Exchange Online, by cmdlet; a validation of a connector only sends a mail. */
export const exchangeWrites = (record: Exchange[], { watched: { organization } }: Customer): string[] =>
  record.flatMap(({ cloud, effect, url, requestBody }) => {
    const { CmdletInput: input } = (requestBody ?? {}) as { CmdletInput?: { CmdletName: string } };
    return cloud === "exchange" &&
      effect === "write" &&
      input &&
      url.includes(organization) &&
      !input.CmdletName.startsWith("Validate-")
      ? [input.CmdletName]
      : [];
  });
