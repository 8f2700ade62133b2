/** A blocklist has the gateway's address: seen twice it is listed, a case opens with a task for a person, and closes when the list lets go. */
import type { Delisting, Task } from "../../../shared/api/delisting.ts";
import { eventLines, type Story } from "./story.ts";

const LIST = { id: "psbl", title: "PSBL", zone: "psbl.surriel.com" };

export async function showListing(story: Story): Promise<void> {
  const { gateway, tenantId, partner, screen, tell, until, control } = story;
  const { address } = gateway;
  await control("POST /blocklists", { zone: LIST.zone, list: [{ address, reason: "a mail from there hit a spam trap" }] });
  screen.say(`${LIST.title} (${LIST.zone}) lists ${address} from now on, the address of ${gateway.id}.`);

  let seen = "";
  await until(`${address} to be listed`, async () => {
    const sighting = await sightingOf(story);
    if (!sighting || sighting.state === seen) return undefined;
    seen = sighting.state;
    const codes = sighting.codes.map(({ code, meaning }) => `${code}, ${meaning ?? "unknown"}`);
    tell(`address ${seen}: ${LIST.title} answers ${codes.join("; ")}`);
    return seen === "listed" ? seen : undefined;
  });
  const caseId = await until(`a case about ${address}`, async () => {
    const { value } = (await partner.listDelistings({ tenantId })).body;
    return value.find((one) => one.address === address && one.list === LIST.id && one.state !== "closed")?.id;
  });
  tell(`case ${caseId}`);

  const follow = caseFollower(story, caseId);
  const { task, evidence, findings } = await until("the case's task", () => follow(({ state }) => state !== "opened"));
  if (evidence) {
    const { reverseNames = [], forwardConfirmed, reasons } = evidence;
    tell(
      `evidence: "${reasons.join(" ")}"; reverse name ${reverseNames.join(", ") || "none"}, which ${forwardConfirmed ? "leads" : "doesn't lead"} back`,
    );
  }
  for (const { severity, message, remedy } of findings) tell(`${severity}: ${message}. ${remedy}`);
  if (task) {
    screen.say(`\n  Task       ${task.title}${task.note === "" ? "" : ` (${task.note})`}`);
    screen.say(`  Link       ${task.link}`);
    screen.say(
      `${task.text
        .split("\n")
        .map((line, index) => `  ${index === 0 ? "Text" : "    "}       ${line}`)
        .join("\n")}\n`,
    );
    await sendForm(story, task);
    await partner.acknowledgeDelisting({ caseId, body: { ticket: "SR-4711" } });
    tell(`playing the person: sent the list's form, and acknowledged the task with ticket SR-4711`);
  }
  await control("POST /blocklists", { zone: LIST.zone, unlist: [address] });
  tell(`playing ${LIST.title}: took ${address} off the list at once`);

  await until("the case to close", () => follow(({ state }) => state === "closed"));
  const events = await until("the last event", async () => {
    const told = await story.newEvents();
    const over = ["delisting.closed", "address.cleared"].every((type) => told.some((event) => event.type === type));
    return over && !(await sightingOf(story)) ? told : undefined;
  });
  const listed = await story.condition("Listed");
  tell(`condition Listed ${listed?.status}: ${listed?.message}`);
  screen.say(`\nGET /api/events?tenantId=${tenantId} has:\n${eventLines(events).join("\n")}`);
}

/** The page that the link leads to, as the simulated list has it. */
async function sendForm({ platform, gateway }: Story, { text, fields }: Task): Promise<void> {
  const mailbox = fields.find(({ label }) => label === "Contact")?.value ?? "";
  const body = new URLSearchParams({ address: gateway.address, mailbox, reason: text });
  const response = await fetch(`${platform.control}/portal/${LIST.zone}`, { method: "POST", body });
  if (!response.ok) throw new Error(`${LIST.title} refused the form: ${response.status} ${await response.text()}`);
}

async function sightingOf({ partner, gateway }: Story) {
  const { value } = (await partner.listListings({})).body;
  return value.find(({ address }) => address === gateway.address)?.lists.find(({ list }) => list === LIST.id);
}

/** Tells each turn of the case once, and answers it when it is as wanted. */
function caseFollower({ partner, tell }: Story, caseId: string) {
  let told = 0;
  return async (wanted: (one: Delisting) => boolean): Promise<Delisting | undefined> => {
    const one = (await partner.getDelisting({ caseId })).body;
    for (const { state, message } of one.history.slice(told)) tell(`case ${state}: ${message}`);
    told = one.history.length;
    return wanted(one) ? one : undefined;
  };
}
