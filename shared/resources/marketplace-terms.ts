/**
 * Mission A10: the publisher's terms of a marketplace image, accepted once for a whole subscription before Azure sells a machine of it.
 *
 * The agreement is the subscription's, not the tenant's: it has no mark, and whoever accepted it, it holds. So it is never cancelled here:
 * machines that aren't ours may stand on it, and Azure doesn't tell who accepted.
 */
import type { AgreementTerms } from "@azure/arm-marketplaceordering";
import type { Azure } from "../azure/client.ts";
import { readBeforeWriting } from "../azure/owned.ts";
import type { Subscription } from "../azure/place.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Plan } from "./gateway-vm.ts";
import { absent, done, type Observed, type Owner, present, type Resource } from "./resource.ts";

export type MarketplaceTerms = Subscription & { owner: Owner; plan: Plan };

export interface ActualMarketplaceTerms {
  id: string;
}

/** What Azure knows of a plan's terms, accepted or not; unknown, with code BadRequest, when there is no such plan. */
export const readTerms = (
  azure: Azure,
  { plan: { publisher, product, name }, ...subscription }: Subscription & { plan: Plan },
): Promise<Observed<AgreementTerms>> =>
  azure.read(subscription, async (clients) =>
    (await clients.marketplace()).marketplaceAgreements.get("virtualmachine", publisher, product, name),
  );

export const marketplaceTerms = ({ azure }: { azure: Azure }): Resource<MarketplaceTerms, ActualMarketplaceTerms> => {
  const what = ({ plan }: MarketplaceTerms): string => `the terms of ${plan.publisher}'s plan ${plan.name}`;
  return {
    kind: "marketplaceTerms",
    async observe(desired) {
      const found = await readTerms(azure, desired);
      if (found.state !== "present") return found;
      return found.actual.accepted === true ? present({ id: found.actual.id ?? "" }) : absent;
    },
    /** Accepted or not is all there is. */
    diff: () => [],
    async create(desired) {
      const { publisher, product, name } = desired.plan;
      // Azure takes back what it gave, signature and all, as the text that was accepted.
      const found = await readBeforeWriting(azure, what(desired), desired, async (clients) =>
        (await clients.marketplace()).marketplaceAgreements.get("virtualmachine", publisher, product, name),
      );
      if (found === undefined) throw new ControlPlaneError("AzureRefused", `Azure has no ${what(desired)}`, 409);
      return azure.begin(`accepting ${what(desired)}`, desired, async (clients, onResponse) =>
        (await clients.marketplace()).marketplaceAgreements.create(
          "virtualmachine",
          publisher,
          product,
          name,
          { ...found, accepted: true },
          { onResponse },
        ),
      );
    },
    update: async () => done,
    remove: async () => done,
  };
};
