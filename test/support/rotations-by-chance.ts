/**
 * Two rotations of a credential in a row, on two machines, under a schedule by chance in which workers die, are delivered again, and wake
 * up late: what all kinds of credential have in common. The orchestrators and the activities are the real ones, the clouds are in memory.
 */
import { readFileSync } from "node:fs";
import type { Rotation } from "../../functions/rotation/orchestrator.ts";
import { targetOf } from "../../shared/desired/target.ts";
import type { Orchestrator } from "../../shared/durable/routine.ts";
import { ControlPlaneError } from "../../shared/errors.ts";
import {
  type CredentialChange,
  type CredentialRecord,
  generationToMake,
  type NewCredential,
} from "../../shared/stores/credentials.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import { tenantSpecSchema } from "../../shared/tenants/spec.ts";
import type { CredentialName } from "../../shared/vault/credential-names.ts";
import type { SecretVersion } from "../../shared/vault/client.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { type CloudsByChance, orchestrate } from "./host-by-chance.ts";
import type { Call } from "./machines-by-chance.ts";
import type { Drawn, Point, Schedule } from "./schedules.ts";

export const HOUR = 3600;
export const LIFETIME = 180 * 24 * HOUR;

/** How a schedule went. */
export interface Played {
  /** Both rotations came to their end. */
  finished: boolean;
  /** How often something was as it must never be. */
  wrong: number;
  /** How often that was at the end, when all was swept. */
  left: number;
  steps: number;
}

export type Play<Mutant> = (drawn: Omit<Drawn, "length">, mutant?: Mutant) => Promise<Played>;

/** Plays schedules one after another until one of them goes wrong, or all have gone well; gives the number of the first one that did not. */
export async function firstToGoWrong<Mutant>(
  play: Play<Mutant>,
  numbers: { from: number; to: number },
  mutant?: Mutant,
): Promise<number | undefined> {
  for (let number = numbers.from; number < numbers.to; number++) {
    const { finished, wrong, left } = await play(scheduleOf(number), mutant);
    if (!finished || wrong > 0 || left > 0) return number;
  }
  return undefined;
}

/** The schedule of that number: each depth of 1 to 5 has its turn. */
export const scheduleOf = (number: number): Omit<Drawn, "length"> => ({ seed: number * 7919 + 1, depth: 1 + (number % 5) });

const { tenantId: _, ...contoso } = JSON.parse(readFileSync("examples/contoso.json", "utf8")) as Record<string, unknown>;
const parsed = tenantSpecSchema.parse(contoso);
const spec = { ...parsed, gateway: { ...parsed.gateway, regions: [{ name: "westeurope", machines: 2 }] } };
const owner = { partnerId: "northwind", tenantId: "contoso" };
const vaultUrl = "https://contoso-kv.vault.azure.net";
const address = (number: number) => ({ id: `ip${number}`, ipAddress: `203.0.113.${number}`, fqdn: `gw${number}.example` });
const ground: Rotation["ground"] = {
  regions: [{ machines: [address(1), address(2)] }],
  loopGuid: { vaultUrl, name: "loop-guid", version: "v1" },
  identityClientId: "c0ffee00-0000-4000-8000-0000000000f1",
  agents: { publicUrl: "https://gatehouse.example", apiVersion: "2026-11-01", audience: "gatehouse" },
};
const tenant = { ...owner, id: owner.tenantId, spec, stage: "pilot", facts: { ground } } as unknown as TenantRecord;
const { work, names } = targetOf(tenant);
const pace: Rotation["pace"] = {
  patience: { tries: 6, firstWaitInSeconds: 5, longestWaitInSeconds: 60 },
  operationDeadlineInSeconds: 300,
  probeIntervalInSeconds: 60,
  probeDeadlineInSeconds: HOUR,
  overlapInSeconds: 24 * HOUR,
  lifetimeInSeconds: LIFETIME,
};

/** Whose credentials are rotated. */
export const site = {
  target: { work, spec, names },
  ground,
  virtualMachines: names.regions.flatMap(({ machines }) => machines.map(({ virtualMachine }) => virtualMachine)),
  keyOf: <Name extends CredentialName>(name: Name) => ({ ...owner, name }),
  referenceOf: (name: string, version: string): SecretReference => ({ vaultUrl, name, version }),
  mailRoute: { smartHost: "contoso-example.mail.example", relayFrom: ["198.51.100.0/24"] },
  /** What any rotation of it is begun with. */
  inputOf: ({ partnerId, tenantId, name, ...credential }: CredentialRecord, operationId: string): Rotation => ({
    work: { ...work, operationId },
    key: { partnerId, tenantId, name },
    generation: generationToMake(credential),
    spec,
    names,
    ground,
    pace,
  }),
};

interface Clouds extends CloudsByChance {
  credential(): CredentialRecord;
}

interface Walk<Input> {
  mostTries: number;
  orchestrator: Orchestrator<Input, unknown>;
  inputOf(credential: CredentialRecord, operationId: string): Input;
  /** How long nobody asks for another try. */
  pauseInSeconds?(credential: CredentialRecord): number;
  /** What goes on beside each try. */
  beside?(): void;
}

/** As the daily sweep goes on with whatever a try has left, and somebody asks for a second one. Gives whether both came to their end. */
export async function twoInARow<Input>(schedule: Schedule, clouds: Clouds, walk: Walk<Input>): Promise<boolean> {
  const { orchestrator, inputOf, mostTries, pauseInSeconds = () => 24 * HOUR, beside } = walk;
  let finished = false;
  let tried = 0;
  const rotate = (): void => {
    const credential = clouds.credential();
    if (credential.generation >= 3 && credential.previous === undefined) {
      finished = true;
      return;
    }
    if (++tried > mostTries) return;
    if (tried > 1) clouds.passUntil(clouds.seconds() + pauseInSeconds(credential));
    beside?.();
    orchestrate(schedule, clouds, orchestrator, inputOf(credential, `rotation-contoso-${tried}`), rotate);
  };
  rotate();
  return (await schedule.run()) && finished;
}

/** Time never goes back: a timer that slept too long is late. */
export function createTime() {
  let now = Date.parse("2026-11-23T00:00:00Z") / 1000;
  return { seconds: () => now, passUntil: (seconds: number) => void (now = Math.max(now, seconds)) };
}

/** Each piece of I/O lets others have their turns before its effect, and before its answer is heard; `look` looks in between. */
export const callsAt =
  (look: () => void) =>
  (point: Point): Call =>
  async (effect) => {
    await point();
    const result = effect();
    look();
    await point();
    return result;
  };

/** The rows that a rotation reads and writes: a credential's, by If-Match, and its tenant's facts. */
export function createRows(first: NewCredential, facts: Record<string, unknown>) {
  let kept: TenantRecord = { ...tenant, facts };
  let row: CredentialRecord & { etag: number } = { ...first, generation: 1, updatedAt: "", etag: 1 };

  const changed = ({ previous, rotation, ...rest }: CredentialChange): typeof row => {
    const { previous: before, rotation: running, ...others } = row;
    const [nextPrevious, nextRotation] = [
      previous === undefined ? before : previous,
      rotation === undefined ? running : rotation,
    ];
    const optional = { ...(nextPrevious && { previous: nextPrevious }), ...(nextRotation && { rotation: nextRotation }) };
    return { ...others, ...rest, ...optional, etag: row.etag + 1 };
  };

  return {
    credential: () => row,
    facts: () => kept.facts,
    storesAt: (call: Call) => ({
      operations: {
        recordProgress: async () => undefined,
        recordStep: async () => ({ steps: [] }),
        recordBeforeImage: async () => ({ blob: "", hash: "" }),
      },
      audit: { begin: async () => undefined, end: async () => undefined },
      tenants: {
        setConditions: async () => undefined,
        get: () => call(() => kept),
        find: () => call(() => kept),
        change: (_partnerId: string, _tenantId: string, decide: (known: TenantRecord) => Partial<TenantRecord> | undefined) =>
          call(() => void (kept = { ...kept, ...decide(kept) })),
      },
      credentials: {
        find: () => call(() => row),
        list: () => call(() => [row]),
        change: async (_key: unknown, decide: (credential: CredentialRecord) => CredentialChange | undefined) => {
          for (;;) {
            const read = await call(() => row);
            const change = decide(read);
            if (change === undefined) return read;
            // If-Match
            const written = await call(() => (row.etag === read.etag ? (row = changed(change)) : undefined));
            if (written !== undefined) return written;
          }
        },
      },
    }),
  };
}

/** A vault's versions of a secret that rotation itself makes; one that is switched off can't be read. */
export function createGenerated(referenceOf: (version: string) => SecretReference, seconds: () => number) {
  const dated = () => ({ createdOn: new Date(seconds() * 1000), expiresOn: undefined });
  const versions: SecretVersion[] = [{ reference: referenceOf("v1"), tags: {}, ...dated() }];
  const off = new Set<string>();
  const readable = (version: string): boolean => !off.has(version);
  return {
    readable,
    vaultsAt: (call: Call) => ({
      read: ({ version }: SecretReference) =>
        call(() => {
          if (!readable(version)) throw new ControlPlaneError("SecretDisabled", `version ${version} is switched off`, 403);
          return version;
        }),
      versions: () => call(() => versions.filter(({ reference: { version } }) => readable(version))),
      write: ({ tags }: Pick<SecretVersion, "tags">) =>
        call(() => {
          const made = referenceOf(`v${versions.length + 1}`);
          versions.unshift({ reference: made, tags, ...dated() });
          return made;
        }),
      disable: ({ version }: SecretReference) => call(() => void off.add(version)),
    }),
  };
}
