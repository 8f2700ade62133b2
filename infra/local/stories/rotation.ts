/** A client secret nears its expiry: a new one is made, tested, applied and proven before the old one goes, and the old one is seen to be dead. */
import type * as z from "zod";
import type { credentialSchema } from "../../../shared/api/credential.ts";
import type { Operation } from "../../../shared/api/operation.ts";
import type { Exchange } from "../clouds/record.ts";
import type { Story } from "./story.ts";

type Credential = z.output<typeof credentialSchema>;

export async function showRotation(story: Story): Promise<void> {
  const { tenantId, screen, tell, until, partner } = story;
  const before = await until("the first client secret, which is made after the onboarding", async () => {
    const credential = await credentialOf(story);
    return credential.expiresAt && !credential.operationId ? credential : undefined;
  });
  screen.say(`The client secret of ${tenantId} is of generation ${before.generation} and expires at ${before.expiresAt}.`);
  const { next: since } = await story.control<{ next: number }>(`GET /requests?cloud=entra&since=0`);
  await bringNearExpiry(story);
  screen.say("In the tenant's vault it expires in a week from now on, and the sweep comes by.");

  const operationId = await until("the rotation to start", async () => {
    const { value } = (await partner.listOperations({ tenantId })).body;
    return value.find((one) => one.kind === "rotation" && one.createdAt > before.lastUpdatedAt)?.id;
  });
  tell(`operation ${operationId}`);
  const operation = await until("the rotation's end", () => followed(story, operationId));
  if (operation.status !== "Succeeded")
    throw new Error(`the rotation ended as ${operation.status}: ${operation.error?.message ?? "without an error"}`);

  const after = await credentialOf(story);
  tell(`generation ${before.generation} is now ${after.generation}, and expires at ${after.expiresAt}`);
  const { value: asked } = await story.control<{ value: Exchange[] }>(`GET /requests?cloud=entra&since=${since}`);
  const refused = asked.map(({ responseBody }) => responseBody).findLast(isRefusal);
  tell(`Entra about the old one: ${refused?.error_description.replace(/ Trace ID:.*$/su, "") ?? "it was never asked"}`);
}

async function credentialOf({ partner, tenantId }: Story): Promise<Credential> {
  const { value } = (await partner.listCredentials({ tenantId })).body;
  const [credential] = value;
  if (!credential) throw new Error(`${tenantId} has no credential; was it onboarded by an older version?`);
  return credential;
}

/** Shows the operation as far as it is; answers it at its end. */
async function followed({ partner, screen }: Story, operationId: string): Promise<Operation | undefined> {
  const { body: operation } = await partner.getOperation({ operationId });
  if (operation.status === "NotStarted" || operation.status === "Running") {
    screen.show(operation);
    return undefined;
  }
  screen.finish(operation);
  return operation;
}

const NEAR_IN_SECONDS = 7 * 24 * 3600;

/** In the tenant's vault, of which state without secrets knows names and tags. */
async function bringNearExpiry({ control, partnerId, tenantId }: Story): Promise<void> {
  type Kept = { versions?: { tags?: Record<string, string> }[] };
  const vaults = Object.entries(await control<Record<string, Kept>>("GET /state/vault"));
  const [key] =
    vaults.find(([name, { versions = [] }]) => {
      const tags = versions.at(-1)?.tags ?? {};
      const theirs = tags["gatehouse-partner"] === partnerId && tags["gatehouse-tenant"] === tenantId;
      return theirs && tags["gatehouse-key"] !== undefined && name.includes("/");
    }) ?? [];
  const [vault, name] = key?.split("/") ?? [];
  if (!vault || !name) throw new Error(`no vault holds a client secret of ${tenantId}`);
  await control("POST /secrets", { vault, name, expiresInSeconds: NEAR_IN_SECONDS });
}

interface Refusal {
  error_description: string;
}

/** Wrong, removed, expired. */
const isRefusal = (body: unknown): body is Refusal =>
  typeof body === "object" &&
  body !== null &&
  "error_description" in body &&
  /AADSTS(7000215|7000222)/.test(String(body.error_description));
