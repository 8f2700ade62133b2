/** Rotations in tests: the real app with its queue, one customer, and an eye that looks at the gateway's secret at every turn of the loop. */
import { setTimeout as pause } from "node:timers/promises";
import { hashOf, type Application } from "../../infra/local/clouds/entra/directory.ts";
import type { ServiceBus } from "../../infra/local/service-bus/service-bus.ts";
import { createSender, type Sender } from "../../shared/messages/sender.ts";
import type { CredentialRecord } from "../../shared/stores/credentials.ts";
import { type Customer, customer, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";
import { testStores } from "../support/stores.ts";

export interface RotationTest {
  platform: OnboardingPlatform;
  bus: ServiceBus;
  sender: Sender;
  tenant: Customer;
  /** Name of the tenant's vault. */
  vault(): Promise<string>;
  credential(): Promise<CredentialRecord>;
  /** The gateway's secret as it is, and Entra's list of the application's. */
  look(): { held: string | undefined; valid: { keyId: string; hash: string; displayName: string | null }[] };
  /** Times that the gateway held a secret which Entra would have refused, since the start. */
  outages: string[];
  /** Asks the control door to bring the current secret near its expiry. */
  bringNear(): Promise<void>;
  sweep(): Promise<void>;
  /** Until the credential is of that generation and its rotation has ended. */
  untilRotated(generation: number): Promise<CredentialRecord>;
  stop(): Promise<void>;
}

const partnerId = "northwind";

export async function startRotation(): Promise<RotationTest> {
  process.env["ROTATION_OVERLAP"] = "PT1S";
  const platform = await startOnboarding();
  const { clouds, bus } = platform;
  const sender = createSender({
    connection: bus.connectionString,
    credential: { getToken: () => Promise.reject(new Error("a connection string needs no credential")) },
  });
  const tenant = customer("contoso");
  const operation = await platform.onboard(tenant);
  if (operation.status !== "Succeeded") throw new Error(JSON.stringify(operation.error));
  const { credentials } = testStores();
  const key = { partnerId, tenantId: tenant.tenantId, name: "clientSecret" as const };

  const credential = async (): Promise<CredentialRecord> => {
    const found = await credentials.find(key);
    if (!found) throw new Error("onboarding kept no credential");
    return found;
  };
  const vault = async (): Promise<string> => (await credential()).vaultUrl.split("/").at(-1) ?? "";
  const { spec } = tenant;
  const guests = clouds.platform.collection<{ registry: Record<string, Record<string, { data: unknown }>> }>("arm.guests");
  const applications = clouds.platform.collection<Application>("entra.applications");
  const look: RotationTest["look"] = () => {
    const guest = guests.entries().find(([id]) => id.toLowerCase().includes(spec.azure.subscriptionId))?.[1];
    const value = guest?.registry["hklm\\software\\gbs\\iq.suite\\ewsscan"]?.["OAuthClientSecret"]?.data;
    const own = applications.entries().find(([id]) => id.startsWith(`${spec.microsoft365.tenantId}/`))?.[1];
    return { held: typeof value === "string" ? hashOf(value) : undefined, valid: own?.passwordCredentials ?? [] };
  };
  const outages: string[] = [];
  const watching = setInterval(() => {
    const { held, valid } = look();
    if (held !== undefined && !valid.some(({ hash }) => hash === held)) outages.push(new Date().toISOString());
  }, 10);

  return {
    platform,
    bus,
    sender,
    tenant,
    vault,
    credential,
    look,
    outages,
    bringNear: async () => {
      const response = await fetch(`${clouds.control}/secrets`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ vault: await vault(), name: "webclient-client-secret", expiresInSeconds: 86_400 }),
      });
      if (!response.ok) throw new Error(await response.text());
    },
    sweep: async () => {
      const url = `${platform.host.managementUrl}admin/functions/sweepCredentials`;
      const response = await fetch(url, { method: "POST", body: "{}" });
      if (!response.ok) throw new Error(await response.text());
    },
    untilRotated: async (generation) => {
      for (;;) {
        const seen = await credential();
        if (seen.generation >= generation && seen.rotation === undefined && seen.previous === undefined) return seen;
        await pause(50);
      }
    },
    stop: async () => {
      clearInterval(watching);
      await sender.close();
      await platform.stop();
    },
  };
}
