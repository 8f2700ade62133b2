/** The world of the API's benchmark: the app's own stores over memory, tokens that are verified, one partner with tenants and an operation. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import type { OnboardingWorld } from "../../functions/onboarding/world.ts";
import { onboardingSteps } from "../../shared/runbook/steps.ts";
import { createAuthentication } from "../../shared/api/authentication.ts";
import { createSigner } from "../../shared/api/signing.ts";
import { systemClock } from "../../shared/clock.ts";
import { createLog } from "../../shared/log.ts";
import { createAuditStore } from "../../shared/stores/audit.ts";
import { createOperationStore } from "../../shared/stores/operations.ts";
import { createPartnerStore } from "../../shared/stores/partners.ts";
import { createTenantStore } from "../../shared/stores/tenants.ts";
import { type TenantSpec, tenantSpecSchema } from "../../shared/tenants/spec.ts";
import { startTokenIssuer } from "../support/token-issuer.ts";
import { memoryStorage } from "../support/memory-storage.ts";

export const TENANT = "contoso";
const TENANTS = 10;

export interface MeasuredWorld {
  world: OnboardingWorld;
  token: string;
  operationId: string;
  /** What the routes answer, for functions that only answer it. */
  sample: { getTenant: unknown; listTenants: unknown; startOnboarding: unknown };
  stop(): Promise<void>;
}

let made: MeasuredWorld | undefined;

/** For api-app, which is loaded without arguments. */
export function measuredWorld(): MeasuredWorld {
  if (!made) throw new Error("no world was made yet");
  return made;
}

export async function makeWorld(): Promise<MeasuredWorld> {
  const issuer = await startTokenIssuer();
  const storage = memoryStorage();
  const clock = systemClock;
  const [partners, tenants] = [createPartnerStore(storage, clock), createTenantStore(storage, clock)];
  const operations = createOperationStore(storage, clock);
  const { applicationId, homeTenantId, authorityHost } = issuer;
  const partner = { id: "northwind", displayName: "Northwind", entraTenantId: randomUUID(), clientId: randomUUID() };
  await partners.put(partner, () => undefined);
  for (let each = 0; each < TENANTS; each += 1) await tenants.add(partner.id, each === 0 ? TENANT : `${TENANT}-${each}`, spec());
  const operationId = randomUUID();
  const key = crypto.getRandomValues(new Uint8Array(32));
  const world = {
    stores: { partners, tenants, operations, audit: createAuditStore(storage, clock) },
    authenticate: createAuthentication({ environment: { authorityHost }, applicationId, homeTenantId, partners, clock }),
    signer: createSigner(() => Promise.resolve(key), clock),
    log: createLog("error", () => undefined),
    clock,
    settings: { applicationId, homeTenantId, authorityHost, publicUrl: "https://gatehouse.example" },
    // An onboarding that runs already needs no cloud to be answered.
  } as unknown as OnboardingWorld;
  made = {
    world,
    token: await issuer.token({ tid: partner.entraTenantId, azp: partner.clientId }),
    operationId,
    sample: { getTenant: undefined, listTenants: undefined, startOnboarding: undefined },
    stop: () => issuer.stop(),
  };
  return made;
}

function spec(): TenantSpec {
  const { tenantId: _, ...body } = JSON.parse(readFileSync(new URL("../../examples/contoso.json", import.meta.url), "utf8")) as {
    tenantId: string;
  };
  return tenantSpecSchema.parse(body);
}

/** The onboarding that is asked for again and again is under way since its first asking. */
export async function beginOnboarding({ world, operationId }: MeasuredWorld, requestHash: string): Promise<void> {
  const { operations, tenants } = world.stores;
  const request = { partnerId: "northwind", tenantId: TENANT, id: operationId, kind: "onboarding" as const, requestHash };
  await operations.create({ ...request, steps: onboardingSteps(spec()) });
  await operations.recordProgress("northwind", operationId, { status: "Running" });
  await tenants.change("northwind", TENANT, () => ({ operationId }));
}
