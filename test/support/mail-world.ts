/** A gateway in the mail internet, and our connectors and rules around it in one simulated organisation: the ground of tests about mail that travels. */
import { headerValues } from "../../infra/local/clouds/mail/message.ts";
import type { SimulatedGuest } from "../../infra/local/clouds/simulator.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createExchange, type Exchange } from "../../shared/exchange/client.ts";
import { approvalRule } from "../../shared/resources/approval-rule.ts";
import { bypassRule } from "../../shared/resources/bypass-rule.ts";
import { ensuring } from "../../shared/resources/ensure.ts";
import {
  type ForwardingRule,
  forwardingRule,
  groupForwardingRule,
  incomingForwardingRule,
  incomingGroupForwardingRule,
} from "../../shared/resources/forwarding-rule.ts";
import { guardRule } from "../../shared/resources/guard-rule.ts";
import { inboundConnector } from "../../shared/resources/inbound-connector.ts";
import { OUTBOUND_CONNECTOR_NAME, outboundConnector } from "../../shared/resources/outbound-connector.ts";
import type { Resource } from "../../shared/resources/resource.ts";
import { stripRule } from "../../shared/resources/strip-rule.ts";
import type { SecretReference } from "../../shared/vault/reference.ts";
import { startClouds, type TestClouds } from "./clouds.ts";
import { type ExchangeCaller, exchangeOf } from "./exchange.ts";

export const organization = "c0ffee00-0000-4000-8000-000000000001";
export const owner = { partnerId: "northwind", tenantId: "contoso" };
export const pilot: string = "pilot@contoso.example";
export const colleague: string = "colleague@contoso.example";
export const HEADER = "X-iqsuite-process";
export const GUID = "5f0c2f3e-9a52-4b61-8d1c-6e0a3a2b7c11";
export const GATEWAY = "203.0.113.7";
export const FQDN = "gw-contoso.westeurope.cloudapp.azure.example";
export const MX = "contoso-example.mail.protection.outlook.com";
export const loopGuid: SecretReference = { vaultUrl: "https://contoso.vault.example", name: "loop-guid", version: "1" };
export const target = { owner, organization, loopHeader: HEADER, egressIps: [GATEWAY], smartHosts: [FQDN] };
export const forwarded: ForwardingRule = {
  ...target,
  loopGuid,
  vaultTenantId: organization,
  outboundConnector: OUTBOUND_CONNECTOR_NAME,
  scope: { mailboxes: [pilot] },
};
/** The vault is another subject: here it holds one secret. */
export const vaults = { read: async () => GUID, seal: async () => loopGuid };

function resourcesOf(exchange: Exchange) {
  const clients = { exchange, vaults };
  return {
    inbound: inboundConnector(clients),
    outbound: outboundConnector(clients),
    guard: guardRule(clients),
    bypass: bypassRule(clients),
    approval: approvalRule(clients),
    strip: stripRule(clients),
    forwarding: forwardingRule(clients),
    groups: groupForwardingRule(clients),
    incoming: incomingForwardingRule(clients),
    incomingGroups: incomingGroupForwardingRule(clients),
  };
}

export const ensure = <Desired, Actual>(resource: Resource<Desired, Actual>, desired: Desired) =>
  ensuring(resource, async () => {})(desired);

export interface MailWorld {
  clouds: TestClouds;
  byHand: ExchangeCaller;
  ours: ReturnType<typeof resourcesOf>;
  /** Windows inside the gateway, as it is now. */
  guest: SimulatedGuest;
  /** A gateway as it should be, and no rules. */
  reset(): Promise<void>;
  /** Our rules, made in the least fitting order: each takes its own place. */
  allRules(more?: Partial<ForwardingRule>): Promise<void>;
}

export async function startMailWorld(): Promise<MailWorld> {
  const clouds = await startClouds();
  await clouds.organize({ tenantId: organization, domains: ["contoso.example"], mailboxes: [pilot, colleague] });
  await clouds.consent(organization);
  const byHand = await exchangeOf(clouds, organization);
  const credentials = createCredentials(clouds.environment, clouds.application);
  const ours = resourcesOf(createExchange({ environment: clouds.environment, credentials }));
  const world: MailWorld = {
    clouds,
    byHand,
    ours,
    guest: gateway(),
    async reset() {
      world.guest = gateway();
      for (const rule of await byHand.list("Get-TransportRule"))
        await byHand.run("Remove-TransportRule", { Identity: rule["Name"], Confirm: false });
    },
    async allRules(more = {}) {
      await ensure(ours.strip, target);
      await ensure(ours.forwarding, { ...forwarded, ...more });
      await ensure(ours.approval, { ...forwarded });
      await ensure(ours.guard, target);
    },
  };
  // The gateway's inside and its public address stand in for Azure.
  clouds.platform.peers.gatewayAt = (address, port) => (address === GATEWAY && port === 25 ? world.guest : undefined);
  clouds.platform.peers.publicAddresses = () => [{ fqdn: FQDN, reverseFqdn: FQDN, address: GATEWAY }];
  await ensure(ours.inbound, target);
  await ensure(ours.outbound, target);
  return world;
}

const gateway = (): SimulatedGuest => ({
  virtualMachineId: "/subscriptions/s/resourcegroups/g/providers/microsoft.compute/virtualmachines/gw1",
  computerName: "gw1",
  egressAddress: GATEWAY,
  smtp: {
    running: true,
    fqdn: FQDN,
    smartHost: MX,
    inboundTls: true,
    outboundTls: true,
    relayFor: ["contoso.example"],
    relayFrom: ["52.100.0.0/24"],
  },
  registry: {
    "hklm\\software\\gbs\\iq.suite\\inject": { AdditionalInjectHeaders: { type: "String", data: `${HEADER}:${GUID}` } },
  },
  firewall: [],
});

/** How often a message has met the gateway. */
export const throughGateway = (mime: string): number =>
  headerValues(mime, "Received").filter((hop) => hop.includes(`by ${FQDN}`)).length;
