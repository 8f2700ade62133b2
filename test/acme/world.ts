/** A tenant's vault and zone in the simulated clouds, our own code around them, and an ACME server that asks the simulated DNS. */
import { CertificateClient } from "@azure/keyvault-certificates";
import { type AcmeCertificates, withAcme } from "../../shared/acme/certificates.ts";
import { type AcmeServer, createAcmeServer } from "../../shared/acme/server.ts";
import type { Clock } from "../../shared/clock.ts";
import { type Authorities, createAuthorities } from "../../shared/dns/authorities.ts";
import { ensuring, type Ensured } from "../../shared/resources/ensure.ts";
import { tlsCertificate, type TlsCertificate } from "../../shared/resources/tls-certificate.ts";
import { type AcmeOrderStore, createAcmeOrderStore } from "../../shared/stores/acme-orders.ts";
import type { Certificates, FoundCertificate } from "../../shared/vault/certificates.ts";
import type { Azure, Polled } from "../../shared/azure/client.ts";
import { ownPrincipalOf, owner, place, startWorld, type World } from "../resources/ground.ts";
import { memoryStorage } from "../support/memory-storage.ts";
import { type Pebble, type PebbleOptions, startPebble } from "../support/pebble.ts";

export const NAME = "gateway.contoso.example";
export const zoneId = `/subscriptions/${place.subscriptionId}/resourceGroups/${place.resourceGroup}/providers/Microsoft.Network/dnsZones/contoso.example`;
export const recordPath = `${zoneId}/TXT/_acme-challenge.gateway`;

export interface AcmeWorld {
  world: World;
  pebble: Pebble;
  wanted: TlsCertificate;
  /** What an order of it is followed by. */
  operationUrl: string;
  server: AcmeServer;
  orders: AcmeOrderStore;
  now: { value: number };
  /** What our code stands on. */
  clients: Clients;
  /** Our code over these clients. */
  over(clients?: Partial<Clients>): Driver;
  /** The texts that stand at the challenge's name. */
  texts(): string[];
  versions(): Promise<number>;
  pending(): Promise<string | undefined>;
  /** As if nothing had ever been asked: the vault's certificate and our notes go, the account stays. */
  forget(): Promise<void>;
  /** How many orders were made at the server, as it says itself. */
  orderCount(): number;
  stop(): Promise<void>;
}

export interface Clients {
  server: AcmeServer | undefined;
  azure: Azure;
  certificates: Certificates;
  authorities: Pick<Authorities, "texts">;
  orders: AcmeOrderStore;
}

export interface Driver {
  certificates: AcmeCertificates;
  ensure(wanted: TlsCertificate): Promise<Ensured<FoundCertificate>>;
  poll(operationUrl: string): Promise<Polled>;
  /** As an orchestration does, without its timers. */
  obtain(wanted?: TlsCertificate): Promise<FoundCertificate>;
}

export async function startAcmeWorld(options: PebbleOptions & { externalAccount?: string } = {}): Promise<AcmeWorld> {
  const world = await startWorld();
  const { clouds, azure, vaults, resolver } = world;
  const { entraTenantId, subscriptionId } = place;
  const { vault } = await world.ground();
  const principalId = await ownPrincipalOf(world);
  await world.ensure("roleAssignment", {
    owner,
    entraTenantId,
    subscriptionId,
    scope: vault.id,
    principalId,
    role: "Key Vault Certificates Officer",
  });
  await world.arm.put(zoneId, { location: "global" });
  const pebble = await startPebble(clouds, options);
  const now = { value: Date.now() };
  const clock: Clock = { now: () => now.value };
  const server = createAcmeServer({
    directoryUrl: pebble.directoryUrl,
    contact: "postmaster@northwind.example",
    externalAccount: options.externalAccount,
    vaults,
    platformVaultUrl: clouds.platformVault,
  });
  const orders = createAcmeOrderStore(memoryStorage());
  const authorities = createAuthorities({ resolver, port: clouds.environment.nameServerPort });
  const wanted: TlsCertificate = {
    owner,
    entraTenantId,
    vaultUrl: vault.url,
    certificate: "smtp-certificate",
    name: NAME,
    acme: { zoneId },
  };
  const byHand = new CertificateClient(vault.url, world.credentials.inTenant(entraTenantId), {
    disableChallengeResourceVerification: true,
  });

  const clients: Clients = { server, azure, certificates: world.certificates, authorities, orders };
  const over: AcmeWorld["over"] = (others = {}) => {
    const certificates = withAcme({ ...clients, ...others, clock, checkEveryInSeconds: 10 });
    const resource = tlsCertificate({ certificates });
    const driver: Driver = {
      certificates,
      ensure: ensuring(resource, async () => undefined),
      poll: (operationUrl) => certificates.pollOperation({ entraTenantId, operationUrl }),
      async obtain(desired = wanted) {
        for (;;) {
          const ensured = await driver.ensure(desired);
          if ("actual" in ensured) return ensured.actual;
          for (let polled: Polled | undefined; polled?.status !== "succeeded"; ) {
            polled = await driver.poll(ensured.begun.operationUrl);
            if (polled.status === "failed") throw new Error(`${polled.error.code}: ${polled.error.message}`);
          }
        }
      },
    };
    return driver;
  };

  return {
    world,
    pebble,
    wanted,
    operationUrl: over().certificates.resume(wanted).operationUrl,
    server,
    orders,
    now,
    clients,
    over,
    texts: () => clouds.platform.peers.publicRecords?.(`_acme-challenge.${NAME}`, "TXT") ?? [],
    versions: async () => {
      let count = 0;
      for await (const _version of byHand.listPropertiesOfCertificateVersions(wanted.certificate)) count++;
      return count;
    },
    forget: async () => {
      const key = `${vault.url.split("/").at(-1)}/${wanted.certificate}`;
      clouds.platform.collection("vault.certificates").delete(key);
      clouds.platform.collection("vault.secrets").delete(key);
      await orders.change(owner.partnerId, owner.tenantId, () => ({
        order: undefined,
        record: undefined,
        ended: [],
        notBefore: undefined,
      }));
    },
    pending: async () =>
      (await byHand.getCertificateOperation(wanted.certificate).catch(() => undefined))?.getOperationState().certificateOperation
        ?.status,
    orderCount: () => pebble.said.filter((line) => line.includes("Added order")).length,
    stop: async () => {
      await pebble.stop();
      await clouds.stop();
    },
  };
}
