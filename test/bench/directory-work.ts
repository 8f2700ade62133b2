/** One piece of the benchmark in a process of its own, so that its memory is its own: `node directory-work.ts PIECE FOLDER USERS GROUPS`. */
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import type { GroupChange, UserChange } from "../../shared/directory/records.ts";
import { collectChunk, publishRun } from "../../shared/directory/refresh.ts";
import { directoryFiles } from "./directory-store.ts";

const [piece = "", folder = "", users = "0", groups = "0"] = process.argv.slice(2);
const [userCount, groupCount] = [Number(users), Number(groups)];
const ENDPOINT = "https://graph.example";
const PAGE_SIZE = 200;
const MEMBERS = 20;
const CHANGED = 500;

const idOf = (kind: string, number: number): string => `${kind}0000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
const user = (number: number, name = `Person ${number}`): UserChange => ({
  id: idOf("a", number),
  displayName: name,
  userPrincipalName: `person${number}@contoso.example`,
  mail: `person${number}@contoso.example`,
  givenName: "Jörg",
  surname: `Müller ${number}`,
  department: `Department ${number % 40}`,
  proxyAddresses: [`SMTP:person${number}@contoso.example`, `smtp:p${number}@contoso.example`],
});
/** Each has ten others in it, as a company has departments: five deep for 5,000. */
const group = (number: number): GroupChange => ({
  id: idOf("b", number),
  displayName: `Group ${number}`,
  mail: `group${number}@contoso.example`,
  "members@delta": [
    ...Array.from({ length: MEMBERS }, (_, member) => ({
      id: idOf("a", (number * MEMBERS + member * 7) % userCount),
      "@odata.type": "#microsoft.graph.user",
    })),
    ...Array.from({ length: 10 }, (_, child) => number * 10 + child + 1)
      .filter((child) => child < groupCount)
      .map((child) => ({ id: idOf("b", child), "@odata.type": "#microsoft.graph.group" })),
  ],
});

/** Graph's pages, in no order. The first round tells of everything, later ones of some hundred users. */
const graph = {
  get: async <Page>(_organization: string, path: string, schema: { parse(page: unknown): Page }): Promise<Page> => {
    const url = new URL(path, ENDPOINT);
    const kind = url.pathname.includes("groups") ? "groups" : "users";
    const later = url.searchParams.has("later");
    const of = later ? (kind === "users" ? CHANGED : 0) : kind === "users" ? userCount : groupCount;
    const skip = Number(url.searchParams.get("skip") ?? 0);
    const shuffled = (number: number): number => (number * 7919) % (kind === "users" ? userCount : groupCount);
    const value = Array.from({ length: Math.min(PAGE_SIZE, of - skip) }, (_, index) => shuffled(skip + index)).map((number) =>
      kind === "users" ? user(number, later ? `Renamed ${number}` : undefined) : group(number),
    );
    const link = (query: string): string => `${ENDPOINT}/${kind}/delta?${query}`;
    const more = skip + PAGE_SIZE < of;
    return schema.parse({
      value,
      ...(more
        ? { "@odata.nextLink": link(`skip=${skip + PAGE_SIZE}${later ? "&later=1" : ""}`) }
        : { "@odata.deltaLink": link("later=1") }),
    });
  },
};

async function refresh(): Promise<void> {
  const world = { graph: graph as never, directories: directoryFiles(folder), graphEndpoint: ENDPOINT, now: () => Date.now() };
  const key = { partnerId: "northwind", tenantId: "contoso", organization: "contoso" };
  const run = `run${process.pid}`;
  while (!(await collectChunk(world, key, run)).complete);
  const { outcome } = await publishRun(world, { ...key, domain: "contoso.example", depth: 5, largestLossInPercent: 10 }, false);
  if (outcome !== "published") throw new Error(`the document was ${outcome}`);
}

/** The same people and groups written line by line, with nothing read, kept, merged or nested. */
async function bare(): Promise<void> {
  const file = createWriteStream(join(folder, "bare.ldif"));
  const write = async (text: string): Promise<void> => {
    if (!file.write(text)) await once(file, "drain");
  };
  for (let number = 0; number < userCount; number++) {
    const { id, displayName, userPrincipalName, mail, givenName, surname, department, proxyAddresses } = user(number);
    const values = { displayName, userPrincipalName, mail, givenName, surname, department };
    const lines = Object.entries(values).map(([name, value]) => `${name}: ${value}`);
    await write(
      `\ndn: uid=${id}\n${lines.join("\n")}\n${(proxyAddresses ?? []).map((one) => `proxyAddresses: ${one}\n`).join("")}`,
    );
  }
  for (let number = 0; number < groupCount; number++) {
    const { id, displayName, "members@delta": members = [] } = group(number);
    await write(`\ndn: cn=${id}\ncn: ${displayName}\n${members.map((member) => `member: uid=${member.id}\n`).join("")}`);
  }
  file.end();
  await once(file, "close");
}

const began = performance.now();
await (piece === "bare" ? bare() : refresh());
const milliseconds = performance.now() - began;
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
console.log(
  JSON.stringify({ milliseconds, processorMilliseconds: (userCPUTime + systemCPUTime) / 1000, mebibytes: maxRSS / 1024 }),
);
