/** The composition root: clients and stores from the settings, each made at its first use. The only place that knows which cloud. */
import { randomBytes } from "node:crypto";
import { withAcme } from "../shared/acme/certificates.ts";
import { type AcmeServer, createAcmeServer } from "../shared/acme/server.ts";
import { createAuthentication } from "../shared/api/authentication.ts";
import { createSigner } from "../shared/api/signing.ts";
import { createAzureAccess } from "../shared/azure/access.ts";
import { createAzure } from "../shared/azure/client.ts";
import { createGovernor } from "../shared/azure/governor.ts";
import { systemClock } from "../shared/clock.ts";
import type { Config } from "../shared/config.ts";
import { createAuthorities } from "../shared/dns/authorities.ts";
import { createResolver } from "../shared/dns/resolver.ts";
import { createFleet } from "../shared/azure/fleet.ts";
import { parseBlocklistZones } from "../shared/dns/blocklist-zones.ts";
import { createBlocklists } from "../shared/dns/blocklists.ts";
import { checkClientSecret } from "../shared/entra/client-secret.ts";
import { createApplicationPasswords } from "../shared/graph/passwords.ts";
import { createAnnouncer } from "../shared/messages/notification.ts";
import { createDeadLetterReader } from "../shared/messages/dead-letter-reader.ts";
import { createDeadLetters, type DeadLetters } from "../shared/messages/dead-letters.ts";
import { createSender } from "../shared/messages/sender.ts";
import type { AddressesWorld } from "./addresses/index.ts";
import type { AdoptionWorld } from "./adoption/world.ts";
import type { BlocklistsWorld } from "./blocklists/index.ts";
import type { DeadLettersWorld } from "./dead-letters/world.ts";
import type { DelistingWorld } from "./delisting/index.ts";
import type { DirectoryFunctions } from "./directory/world.ts";
import type { DriftWorld } from "./drift/world.ts";
import type { GatewaysWorld } from "./gateways/index.ts";
import type { SchedulesWorld } from "./schedules/world.ts";
import type { RotationWorld } from "./rotation/world.ts";
import { createCredentials } from "../shared/entra/credentials.ts";
import { createExchange, type Exchange, type ExchangeOptions } from "../shared/exchange/client.ts";
import { validateOutboundConnector } from "../shared/exchange/probe.ts";
import { createGraph } from "../shared/graph/client.ts";
import { adminConsentUrl } from "../shared/graph/consent-link.ts";
import { checkConsent } from "../shared/graph/consent.ts";
import { createMailer } from "../shared/graph/mailer.ts";
import { createProbeMails } from "../shared/graph/mail.ts";
import { createMessageTraces } from "../shared/graph/message-traces.ts";
import { createGroups } from "../shared/graph/groups.ts";
import { createOrganizations } from "../shared/graph/organization.ts";
import { createOwnRights } from "../shared/graph/own-rights.ts";
import { createLog } from "../shared/log.ts";
import { createResources } from "../shared/resources/index.ts";
import { createPlans } from "../shared/plans/plans.ts";
import { createStartTls } from "../shared/smtp/starttls.ts";
import { createStores } from "../shared/stores/stores.ts";
import type { OffboardingWorld } from "./offboarding/world.ts";
import { createCertificates } from "../shared/vault/certificates.ts";
import { createVaults, type Vaults } from "../shared/vault/client.ts";
import { createPostWebhook } from "../shared/webhooks/post.ts";
import { createWebhookSecrets } from "../shared/webhooks/secrets.ts";
import { publicTargets } from "../shared/webhooks/target.ts";
import type { MailFlowWorld } from "./mail-flow/world.ts";
import type { NotificationsWorld } from "./notifications/index.ts";
import type { OnboardingWorld } from "./onboarding/world.ts";
import type { OperationsWorld } from "./operations/world.ts";

export type World = OnboardingWorld &
  AdoptionWorld &
  AddressesWorld &
  OffboardingWorld &
  MailFlowWorld &
  OperationsWorld &
  GatewaysWorld &
  BlocklistsWorld &
  DeadLettersWorld &
  DelistingWorld &
  DirectoryFunctions &
  DriftWorld &
  RotationWorld &
  NotificationsWorld &
  SchedulesWorld & { deadLetters: DeadLetters };

export function createWorld(config: Config): World {
  const environment = config.CLOUD_ENVIRONMENT;
  const clock = systemClock;
  const log = createLog(config.LOG_LEVEL);
  const identity = { applicationId: config.APPLICATION_ID, managedIdentityClientId: config.MANAGED_IDENTITY_CLIENT_ID };
  const credentials = createCredentials(environment, identity);
  const bus = { connection: config.SERVICE_BUS, credential: credentials.own };
  const sender = createSender(bus);
  const stores = createStores({
    storage: { connection: config.STATE_STORAGE },
    credential: credentials.own,
    clock,
    announce: createAnnouncer({ sender, clock, log }),
  });
  const governor = createGovernor({ quotas: stores.quotas, clock, refill: environment.resourceManager.refill });
  const azure = createAzure({ environment, credentials, governor });
  const vaults = createVaults({ environment, credentials });
  const warned = (warning: Parameters<NonNullable<ExchangeOptions["warned"]>>[0]) =>
    log.warning("Exchange Online warned", warning);
  const exchange = createExchange({ environment, credentials, warned });
  const graph = createGraph({ environment, credentials });
  const resolver = createResolver({ servers: environment.dnsServers });
  const authorities = createAuthorities({ resolver, port: environment.nameServerPort });
  const certificates = withAcme({
    certificates: createCertificates({ environment, credentials, clock }),
    server: acmeServer(config, vaults),
    azure,
    authorities,
    orders: stores.acmeOrders,
    clock,
    checkEveryInSeconds: config.ACME_CHECK_INTERVAL,
  });
  const resourcesOver = (own: Exchange) => createResources({ certificates, azure, vaults, exchange: own, graph, resolver });
  const applicationId = config.APPLICATION_ID;
  const homeTenantId = config.HOME_TENANT_ID;
  const patience = {
    tries: config.RETRY_TRIES,
    firstWaitInSeconds: config.RETRY_FIRST_WAIT,
    longestWaitInSeconds: config.RETRY_LONGEST_WAIT,
  };
  const operationDeadlineInSeconds = config.OPERATION_DEADLINE;
  const webhookTargets = environment.webhookTargets ?? publicTargets;

  return {
    clock,
    log,
    stores,
    environment,
    azure,
    vaults,
    certificates,
    startTls: createStartTls({ proxy: environment.smtpProxy }),
    exchange,
    resources: resourcesOver(exchange),
    resourcesOver,
    authenticate: createAuthentication({ environment, applicationId, homeTenantId, partners: stores.partners, clock }),
    signer: createSigner(() => signingKey(vaults, config.PLATFORM_VAULT_URL), clock),
    settings: { applicationId, homeTenantId, publicUrl: config.PUBLIC_URL, authorityHost: environment.authorityHost },
    azureAccess: createAzureAccess({ azure, credentials }),
    pace: {
      patience,
      operationDeadlineInSeconds,
      consentCheckIntervalInSeconds: config.CONSENT_CHECK_INTERVAL,
      consentExpiryInSeconds: config.CONSENT_EXPIRY,
      probeIntervalInSeconds: config.PROBE_INTERVAL,
      probeDeadlineInSeconds: config.PROBE_DEADLINE,
      settleInSeconds: config.ADDRESS_SETTLE,
    },
    plans: createPlans(stores.plans),
    driftPace: {
      shortestInSeconds: config.DRIFT_SHORTEST_INTERVAL,
      longestInSeconds: config.DRIFT_LONGEST_INTERVAL,
      repairsADay: config.DRIFT_REPAIRS_A_DAY,
    },
    offboardingPace: {
      patience,
      operationDeadlineInSeconds,
      probeIntervalInSeconds: config.PROBE_INTERVAL,
      probeDeadlineInSeconds: config.PROBE_DEADLINE,
      settleInSeconds: config.OFFBOARDING_SETTLE,
      drainDeadlineInSeconds: config.OFFBOARDING_DRAIN_DEADLINE,
    },
    mailFlowPace: {
      patience,
      operationDeadlineInSeconds,
      probeIntervalInSeconds: config.PROBE_INTERVAL,
      probeDeadlineInSeconds: config.PROBE_DEADLINE,
      settleInSeconds: config.BYPASS_SETTLE,
    },
    addressPace: {
      patience,
      operationDeadlineInSeconds,
      probeIntervalInSeconds: config.PROBE_INTERVAL,
      probeDeadlineInSeconds: config.PROBE_DEADLINE,
      settleInSeconds: config.ADDRESS_SETTLE,
      releaseAfterInSeconds: config.ADDRESS_RELEASE_AFTER,
    },
    organizations: createOrganizations(graph),
    groups: createGroups(graph),
    graph,
    resolver,
    authorities,
    checkConsent: checkConsent({ environment, credentials, graph }),
    ownAccess: exchange,
    ownRights: createOwnRights(graph),
    probes: createProbeMails(graph, stores.sentMails),
    traces: createMessageTraces(graph),
    canaryMailbox: config.CANARY_MAILBOX,
    validateOutboundConnector: validateOutboundConnector(exchange),
    consentUrl: (request) => adminConsentUrl({ environment, applicationId, ...request }),
    sender,
    deadLetters: createDeadLetters(bus),
    deadLetterReader: createDeadLetterReader(bus),
    heartbeatEveryInSeconds: config.HEARTBEAT_INTERVAL,
    fleet: createFleet({ environment, credentials, azure }),
    blocklists: createBlocklists({
      servers: environment.dnsServers,
      zones: parseBlocklistZones(config.DNS_BLOCKLISTS),
      readKey: (reference) => vaults.read(reference),
    }),
    addresses: async () =>
      (await stores.gateways.all()).map(({ partnerId, tenantId, address, addressSince }) => ({
        partnerId,
        tenantId,
        address,
        since: addressSince,
      })),
    listingPace: { confirmAfterInSeconds: config.LISTING_CONFIRM_AFTER, pollEveryInSeconds: config.BLOCKLISTS_INTERVAL },
    delistingPace: {
      patience,
      firstWaitInSeconds: config.DELISTING_FIRST_WAIT,
      deadlineInSeconds: config.DELISTING_DEADLINE,
      confirmAfterInSeconds: config.LISTING_CONFIRM_AFTER,
    },
    pausedLists: config.DELISTING_PAUSED_LISTS,
    passwords: createApplicationPasswords(graph),
    checkClientSecret: checkClientSecret(environment),
    rotation: {
      certificateOverlapInSeconds: config.CERTIFICATE_OVERLAP,
      settleInSeconds: config.ADDRESS_SETTLE,
      pace: {
        patience,
        operationDeadlineInSeconds,
        probeIntervalInSeconds: config.PROBE_INTERVAL,
        probeDeadlineInSeconds: config.PROBE_DEADLINE,
        overlapInSeconds: config.ROTATION_OVERLAP,
        lifetimeInSeconds: config.CLIENT_SECRET_LIFETIME,
      },
    },
    schedules: Object.fromEntries(
      Object.entries(config).flatMap(([name, value]) =>
        name.endsWith("_SCHEDULE") && typeof value === "string" ? [[name, value]] : [],
      ),
    ),
    webhookTargets,
    webhookSecrets: createWebhookSecrets(vaults, config.PLATFORM_VAULT_URL),
    mailer: createMailer(graph),
    postWebhook: createPostWebhook({ targets: webhookTargets, addressesOf: (name) => resolver.everyAddress(name) }),
    reportFailure: (activity, error) => log.warning("an activity failed", { activity, error }),
  };
}

const acmeServer = (config: Config, vaults: Vaults): AcmeServer | undefined =>
  config.ACME_DIRECTORY === undefined
    ? undefined
    : createAcmeServer({
        directoryUrl: config.ACME_DIRECTORY,
        contact: config.ACME_CONTACT,
        externalAccount: config.ACME_EXTERNAL_ACCOUNT,
        vaults,
        platformVaultUrl: config.PLATFORM_VAULT_URL,
      });

/** Made once and kept in the platform's vault: instances that start at the same time may each write one, and all of them use the first. */
async function signingKey(vaults: Vaults, vaultUrl: string): Promise<Uint8Array> {
  const name = "signing-key";
  const known = await vaults.first(vaultUrl, name);
  const made = known ?? (await vaults.write({ vaultUrl, name, value: randomBytes(32).toString("base64url") }));
  const reference = known ?? (await vaults.first(vaultUrl, name)) ?? made;
  return Buffer.from(await vaults.read(reference), "base64url");
}
