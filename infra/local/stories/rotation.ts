/** A client secret nears its expiry: a new one is made, tested, applied and proven before the old one goes, and the old one is seen to be dead. */
import { randomUUID } from "node:crypto";
import { ServiceBusClient } from "@azure/service-bus";
import type * as z from "zod";
import type { credentialSchema } from "../../../shared/api/credential.ts";
import type { Operation } from "../../../shared/api/operation.ts";
import type { CredentialDue } from "../../../shared/messages/near-expiry.ts";
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
  await bringNearExpiry(story, before.generation);
  tell("its vault says that it is near its expiry");

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

/** As the daily sweep does when the vault tells it of an expiry that is near. */
async function bringNearExpiry({ platform, partnerId, tenantId }: Story, generation: number): Promise<void> {
  const client = new ServiceBusClient(platform.serviceBus.connectionString);
  try {
    const body: CredentialDue = { kind: "credentialDue", partnerId, tenantId, name: "clientSecret", generation };
    await client.createSender("rotation").sendMessages({ messageId: randomUUID(), body, contentType: "application/json" });
  } finally {
    await client.close();
  }
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
