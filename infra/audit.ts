/**
 * Reads audit logs from storage and checks that their chains are whole and what their anchors say: `npm run audit -- --verify [--operators |
 * --partner ID [--tenant ID]]`. Without a name it looks at operators, all partners and all of their tenants, and whatever an anchor names. Storage is that of the platform on this machine, or `--storage`: a connection
 * string, or an account's name, which is reached with `az login`'s identity. Exit code 1 when a chain is broken.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { TokenCredential } from "@azure/identity";
import { OPERATORS } from "../shared/api/audit.ts";
import { againstAnchors, type Anchor, type ChainOwner, chainKey, ownerOf, verified } from "../shared/stores/audit-chain.ts";
import { everyOne } from "../shared/stores/pages.ts";
import { createStores, type Stores } from "../shared/stores/stores.ts";
import { defaultData } from "./local/flags.ts";

const usage = `npm run audit -- --verify [--operators | --partner ID [--tenant ID]] [--storage CONNECTION-OR-ACCOUNT | --data DIR]`;

const ofAzureCli: TokenCredential = {
  getToken: async (scopes, options) => {
    const { AzureCliCredential } = await import("@azure/identity");
    return new AzureCliCredential().getToken(scopes, options);
  },
};

try {
  process.exitCode = await run(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

async function run(args: string[]): Promise<number> {
  const { values } = parseArgs({
    args,
    options: {
      verify: { type: "boolean", default: false },
      operators: { type: "boolean", default: false },
      partner: { type: "string" },
      tenant: { type: "string" },
      storage: { type: "string" },
      data: { type: "string", default: defaultData },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(`${usage}\n`);
    return 0;
  }
  const { partner, tenant, operators } = values;
  if (!values.verify || (tenant !== undefined && partner === undefined) || (operators && partner !== undefined))
    throw new Error(usage);
  const connection = values.storage ?? storageOn(values.data);
  const stores = createStores({ storage: { connection }, credential: ofAzureCli });
  const anchors: Anchor[] = [];
  for await (const anchor of stores.auditAnchors.all()) anchors.push(anchor);
  const owners = operators
    ? [{ partnerId: OPERATORS }]
    : partner === undefined
      ? await everybody(stores, anchors)
      : await ownersOf(stores, partner, tenant);
  let broken = 0;
  for (const owner of owners) {
    const segments = await stores.audit.segments(owner);
    const { entries, first, last, ...chain } = verified(owner, segments);
    const { anchored, ...anchoring } = againstAnchors(owner, segments, anchors, Date.now());
    const problems = [...chain.problems, ...anchoring.problems];
    if (entries === 0 && problems.length === 0 && tenant === undefined) continue;
    const range = last === undefined ? "" : ` (${first} to ${last.sequence}, the last one's hash is ${last.hash})`;
    const anchor = anchored ? `anchored up to entry ${anchored.sequence} at ${anchored.at}` : "not anchored";
    process.stdout.write(
      `${chainKey(owner)}: ${counted(entries)}, ${problems.length === 0 ? "chain whole" : "CHAIN BROKEN"}${range}, ${anchor}\n`,
    );
    for (const problem of problems) process.stdout.write(`  ${problem}\n`);
    broken += problems.length === 0 ? 0 : 1;
  }
  return broken === 0 ? 0 : 1;
}

function counted(entries: number): string {
  return entries === 1 ? "1 entry" : `${entries} entries`;
}

/** Whoever took a chain away with its tenant's row has not taken its name out of the anchors. */
async function everybody(stores: Stores, anchors: Anchor[]): Promise<ChainOwner[]> {
  const owners: ChainOwner[] = [{ partnerId: OPERATORS }];
  for await (const { id } of everyOne((after) => stores.partners.list(200, after))) owners.push(...(await ownersOf(stores, id)));
  const chains = new Set([...owners.map(chainKey), ...anchors.flatMap(({ heads }) => heads.map(({ chain }) => chain))]);
  return [...chains].map(ownerOf);
}

async function ownersOf(stores: Stores, partnerId: string, tenantId?: string): Promise<ChainOwner[]> {
  if (tenantId !== undefined) return [{ partnerId, tenantId }];
  const owners: ChainOwner[] = [{ partnerId }];
  for await (const { id } of everyOne((after) => stores.tenants.list(partnerId, 200, after)))
    owners.push({ partnerId, tenantId: id });
  return owners;
}

/** Of the platform on this machine, whether it runs or only its storage is kept. */
function storageOn(data: string): string {
  try {
    const { storage } = JSON.parse(readFileSync(join(data, "endpoints.json"), "utf8")) as { storage?: string };
    if (storage !== undefined) return storage;
  } catch (error) {
    throw new Error(`no platform is running on ${data}: start one with npm start, or name --data or --storage\n${usage}`, {
      cause: error,
    });
  }
  throw new Error(`${data} names no storage\n${usage}`);
}
