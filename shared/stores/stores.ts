/** All stores on one storage account. */
import type { TokenCredential } from "@azure/identity";
import { type Clock, systemClock } from "../clock.ts";
import { type AcmeOrderStore, createAcmeOrderStore } from "./acme-orders.ts";
import { type AuditStore, createAuditStore } from "./audit.ts";
import { type AuditAnchorStore, createAuditAnchorStore } from "./audit-anchors.ts";
import { type CaseStore, createCaseStore } from "./cases.ts";
import { type ClaimStore, createClaimStore } from "./claims.ts";
import { type Audience, createEventStore, type EventStore } from "./events.ts";
import { createDeliveryStore, type DeliveryStore } from "./deliveries.ts";
import { createGatewayStore, type GatewayStore } from "./gateways.ts";
import { createHeartbeatStore, type HeartbeatStore } from "./heartbeats.ts";
import { createLeaseStore, type LeaseStore } from "./leases.ts";
import { createListingStore, type ListingStore } from "./listings.ts";
import { type CredentialStore, createCredentialStore } from "./credentials.ts";
import { createDailyOfferStore, type DailyOfferStore } from "./daily-offers.ts";
import { createDirectoryStore, type DirectoryStore } from "./directories.ts";
import { createExportStore, type ExportStore } from "./exports.ts";
import { createDriftStore, type DriftStore } from "./drift.ts";
import { createMailBudget, type MailBudget } from "./mail-budget.ts";
import { createMailOutbox, type MailOutbox } from "./mail-outbox.ts";
import { createMailRecipientStore, type MailRecipientStore } from "./mail-recipients.ts";
import { createOperationStore, type OperationStore } from "./operations.ts";
import { createPartnerStore, type PartnerStore } from "./partners.ts";
import { createSentMailStore, type SentMailStore } from "./sent-mails.ts";
import { createOutageStore, type OutageStore } from "./outages.ts";
import { createPlanStore, type PlanStore } from "./plans.ts";
import { createQuotaStore, type QuotaStore } from "./quotas.ts";
import { createStorage, type StorageSettings } from "./storage.ts";
import { createScheduleStore, type ScheduleStore } from "./schedules.ts";
import { createTable } from "./table.ts";
import { createTaskStore, type TaskStore } from "./tasks.ts";
import { createTenantStore, type TenantStore } from "./tenants.ts";
import { createUsedStateStore, type UsedStateStore } from "./used-states.ts";
import { createWebhookStore, type WebhookStore } from "./webhooks.ts";

export interface Stores {
  partners: PartnerStore;
  tenants: TenantStore;
  operations: OperationStore;
  usedStates: UsedStateStore;
  sentMails: SentMailStore;
  leases: LeaseStore;
  quotas: QuotaStore;
  claims: ClaimStore;
  credentials: CredentialStore;
  listings: ListingStore;
  cases: CaseStore;
  dailyOffers: DailyOfferStore;
  gateways: GatewayStore;
  events: EventStore;
  heartbeats: HeartbeatStore;
  directories: DirectoryStore;
  exports: ExportStore;
  tasks: TaskStore;
  plans: PlanStore;
  audit: AuditStore;
  auditAnchors: AuditAnchorStore;
  drift: DriftStore;
  webhooks: WebhookStore;
  deliveries: DeliveryStore;
  mailRecipients: MailRecipientStore;
  mailOutbox: MailOutbox;
  mailBudget: MailBudget;
  outages: OutageStore;
  schedules: ScheduleStore;
  acmeOrders: AcmeOrderStore;
  /** Throws when tables or blobs don't answer. */
  check(): Promise<void>;
}

export interface StoresOptions {
  storage: StorageSettings;
  /** Used where `storage` names an account; a connection string brings its own. */
  credential: TokenCredential;
  clock?: Clock;
  /** Without it an event that somebody wants to be told waits for the sweep. */
  announce?: Audience["announce"];
}

export function createStores({
  storage: settings,
  credential,
  clock = systemClock,
  announce = () => Promise.resolve(),
}: StoresOptions): Stores {
  const storage = createStorage(settings, credential);
  const probe = createTable(storage, "partners");
  const webhooks = createWebhookStore(storage, clock);
  const mailRecipients = createMailRecipientStore(storage, clock);
  const listens = async (partnerId: string): Promise<boolean> =>
    (await webhooks.anyOf(partnerId)) || mailRecipients.anyOf(partnerId);
  const events = createEventStore(storage, { listens, announce });
  return {
    partners: createPartnerStore(storage, clock),
    tenants: createTenantStore(storage, clock),
    operations: createOperationStore(storage, clock),
    usedStates: createUsedStateStore(storage),
    sentMails: createSentMailStore(storage),
    leases: createLeaseStore(storage, clock),
    quotas: createQuotaStore(storage, clock),
    claims: createClaimStore(storage),
    credentials: createCredentialStore(storage, clock),
    listings: createListingStore(storage),
    cases: createCaseStore(storage, clock),
    dailyOffers: createDailyOfferStore(storage),
    gateways: createGatewayStore(storage, clock),
    events,
    heartbeats: createHeartbeatStore(storage, clock),
    directories: createDirectoryStore(storage),
    exports: createExportStore(storage),
    tasks: createTaskStore(storage, clock, events),
    plans: createPlanStore(storage, clock),
    audit: createAuditStore(storage, clock),
    auditAnchors: createAuditAnchorStore(storage, clock),
    drift: createDriftStore(storage),
    webhooks,
    deliveries: createDeliveryStore(storage),
    mailRecipients,
    mailOutbox: createMailOutbox(storage),
    mailBudget: createMailBudget(storage),
    outages: createOutageStore(storage),
    schedules: createScheduleStore(storage),
    acmeOrders: createAcmeOrderStore(storage),
    check: async () => {
      const blobs = await storage.container("before-images");
      await Promise.all([probe.get({ partitionKey: "partners", rowKey: "check" }), blobs.getProperties()]);
    },
  };
}
