/** What a person is asked to do about a listing: the right link, the steps there, the fields filled in, and words ready to be copied. */
import type { Task } from "../../shared/api/delisting.ts";
import type { Finding } from "../../shared/api/plan.ts";
import type { CaseRecord } from "../../shared/stores/cases.ts";
import { DELIST_MAILBOX, type Way } from "./ways.ts";

interface About {
  known: CaseRecord;
  way: Way;
  contact: string;
}
type Prefilled = Omit<Task, "since" | "reminders">;

/** Asks the list, or approves that we do. */
export function askingTask(about: About): Prefilled {
  const { listTitle, address } = about.known;
  const text = requestText(about);
  return about.way.kind === "mail"
    ? {
        ...prefilled(about),
        kind: "approveRequest",
        title: `Approve that ${listTitle} is asked to remove ${address}`,
        text,
        note: `Say that it is done, and this mail goes to ${DELIST_MAILBOX}, once. ${about.way.note}`,
      }
    : { ...prefilled(about), kind: "askForRemoval", title: `Ask ${listTitle} to remove ${address}`, text };
}

export const putRightTask = (about: About, blocking: Finding[]): Prefilled => ({
  ...prefilled(about),
  steps: [],
  kind: "putRight",
  title: `Put right what keeps ${about.known.listTitle} from removing ${about.known.address}`,
  text: blocking.map(({ message, remedy }) => `${message}. ${remedy}`).join("\n"),
});

export const replaceTask = (about: About, why: string): Prefilled => ({
  ...prefilled(about),
  steps: anotherAddress(about),
  kind: "replaceAddress",
  title: `Give the gateway another address than ${about.known.address}`,
  text: `${about.known.listTitle} lists ${about.known.address}: ${meanings(about.known)}. ${capital(why)}. ${about.way.note}`.trim(),
});

/** Manual measures, of which a person chooses. */
export const stepInTask = (about: About, why: string): Prefilled => ({
  ...prefilled(about),
  steps: [
    "Find and end the cause: the gateway's queue and its last mail show who sends.",
    "Open a ticket with the list's support and give its number to POST /delistings/{caseId}/acknowledge.",
    ["Or give the gateway another address.", ...anotherAddress(about)].join(" "),
    "Or leave it: say that it is done, and the case is watched on without reminders.",
  ],
  kind: "stepIn",
  title: `Step in: ${about.known.listTitle} still has ${about.known.address}`,
  text: `${capital(why)}.\n${requestText(about)}`,
});

/** Where it is done; the case is closed by itself when no gateway has the address any more. */
function anotherAddress({ known: { tenantId, evidence } }: About): string[] {
  const id = evidence?.gateway?.id;
  if (id === undefined) return [];
  return [
    `See what another address takes: POST /api/tenants/${tenantId}/plan with the operation addressReplacement and the gateway ${id}.`,
    `Have it replaced, with no mail lost: POST /api/gateways/${id}/replace-address.`,
  ];
}

const capital = (text: string): string => text.slice(0, 1).toUpperCase() + text.slice(1);

function prefilled({ known: { address, evidence }, way, contact }: About): Pick<Task, "link" | "note" | "steps" | "fields"> {
  const name = nameIn(evidence);
  return {
    link: way.link.replaceAll("{address}", encodeURIComponent(address)),
    note: way.note,
    steps: way.steps,
    fields: [
      { label: "Address", value: address },
      ...(name === undefined ? [] : [{ label: "Host name", value: name }]),
      { label: "Contact", value: contact },
    ],
  };
}

const nameIn = (evidence: CaseRecord["evidence"]): string | undefined => evidence?.reverseNames?.[0] ?? evidence?.gateway?.name;

/** What lists ask of a request: who sends, from where, why it was listed, what was done (Spamhaus' and Microsoft's forms). */
export function requestText({ known: { address, listTitle, evidence }, way, contact }: About): string {
  const name = nameIn(evidence);
  const domain = contact.split("@")[1] ?? "";
  return [
    `Please remove ${address}${name === undefined ? "" : ` (${name})`} from ${listTitle}.`,
    `It is a single, statically assigned address of a mail gateway that we run ourselves. It only relays mail of ${domain} ` +
      "that comes from Microsoft 365 over TLS, is no open relay, and has matching forward and reverse DNS names.",
    ...(way.seenIn === "replies" && evidence?.reply ? [`The reply that it gets: ${evidence.reply}`] : []),
    `Questions are answered at ${contact}.`,
  ].join("\n");
}

const meanings = ({ evidence }: CaseRecord): string =>
  evidence?.codes.map(({ code, meaning }) => meaning ?? code).join(", ") || "no code";
