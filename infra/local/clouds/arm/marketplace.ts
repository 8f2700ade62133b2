/**
 * Microsoft.MarketplaceOrdering: terms of an image with a plan, accepted once for a subscription before a machine may be made of it.
 * Source: marketplaceordering's Agreements.json (2021-01-01), and the answers that Azure gives where terms weren't accepted.
 */
import { createHash } from "node:crypto";
import * as z from "zod";
import type { SimulatedResponse } from "../simulator.ts";
import { images } from "./catalog.ts";
import { ArmError, parseBody, type Json } from "./envelope.ts";
import type { Estate } from "./estate.ts";

export interface Plan {
  publisher: string;
  /** The offer, in Compute's words. */
  product: string;
  name: string;
}

const termsSchema = z.looseObject({ properties: z.looseObject({ accepted: z.boolean() }) });

const key = (subscriptionId: string, { publisher, product, name }: Plan): string =>
  `${subscriptionId}/${publisher}/${product}/${name}`.toLowerCase();

const acceptances = (estate: Estate) => estate.platform.collection<{ at: number }>("arm.marketplace");

const termsAccepted = (estate: Estate, subscriptionId: string, plan: Plan): boolean =>
  acceptances(estate).get(key(subscriptionId, plan)) !== undefined;

export interface AgreementCall {
  subscriptionId: string;
  method: string;
  /** Below `/providers/Microsoft.MarketplaceOrdering/`. */
  path: string;
  body: unknown;
}

/** Undefined when the path is none of the agreements'. */
export function answerAgreement(
  estate: Estate,
  { subscriptionId, method, path, body }: AgreementCall,
): SimulatedResponse | undefined {
  const terms = /^offerTypes\/virtualmachine\/publishers\/([^/]+)\/offers\/([^/]+)\/plans\/([^/]+)\/agreements\/current$/i.exec(
    path,
  );
  const agreement = /^agreements\/([^/]+)\/offers\/([^/]+)\/plans\/([^/]+)(?:\/(sign|cancel))?$/i.exec(path);
  const [, publisher = "", product = "", name = "", action] = terms ?? agreement ?? [];
  if (name === "") return undefined;
  const plan: Plan = { publisher, product, name };
  const known = images.some((image) => image.plan !== undefined && key("", image.plan) === key("", plan));
  if (!known)
    throw new ArmError(
      400,
      "BadRequest",
      `Offer with PublisherId: '${publisher}' and OfferId: '${product}' not found. Consider trying a different offer or plan.`,
    );
  if (terms !== null && method === "PUT") {
    const { properties } = parseBody(termsSchema, body);
    return decide(estate, subscriptionId, { plan, accepted: properties.accepted });
  }
  if (action !== undefined && method === "POST")
    return decide(estate, subscriptionId, { plan, accepted: action.toLowerCase() === "sign" });
  if (method === "GET" && action === undefined) return { status: 200, body: shown(estate, subscriptionId, plan) };
  return undefined;
}

function decide(
  estate: Estate,
  subscriptionId: string,
  { plan, accepted }: { plan: Plan; accepted: boolean },
): SimulatedResponse {
  const before = termsAccepted(estate, subscriptionId, plan);
  if (accepted && !before) acceptances(estate).set(key(subscriptionId, plan), { at: estate.platform.now() });
  if (!accepted) acceptances(estate).delete(key(subscriptionId, plan));
  return { status: 200, body: shown(estate, subscriptionId, plan), effect: before === accepted ? "none" : "write" };
}

function shown(estate: Estate, subscriptionId: string, plan: Plan): Json {
  const { publisher, product, name } = plan;
  const acceptance = acceptances(estate).get(key(subscriptionId, plan));
  const link = (document: string): string =>
    `https://storelegalterms.blob.core.windows.net/${document}/${publisher}:24${product}:24${name}.txt`;
  return {
    id: `/subscriptions/${subscriptionId}/providers/Microsoft.MarketplaceOrdering/offerTypes/virtualmachine/publishers/${publisher}/offers/${product}/plans/${name}/agreements/current`,
    name,
    type: "Microsoft.MarketplaceOrdering/offertypes",
    properties: {
      publisher,
      product,
      plan: name,
      licenseTextLink: link("legalterms"),
      privacyPolicyLink: link("privacy"),
      marketplaceTermsLink: link("marketplaceterms"),
      retrieveDatetime: new Date(estate.platform.now()).toISOString(),
      signature: createHash("sha256").update(key(subscriptionId, plan)).digest("base64url").toUpperCase(),
      accepted: acceptance !== undefined,
    },
  };
}

/** An image with a plan needs the plan in the machine's body and its terms accepted; an image without one refuses a plan. */
export function checkPlan(
  estate: Estate,
  subscriptionId: string,
  { wanted, given }: { wanted: Plan | undefined; given: { [Name in keyof Plan]?: string | undefined } | undefined },
): void {
  if (wanted === undefined && given === undefined) return;
  if (wanted === undefined)
    throw new ArmError(
      400,
      "VMMarketplaceInvalidInput",
      `Plan information provided for a VM created from a non Marketplace image. Plan information is only required for Marketplace images.`,
    );
  const same = (a: string | undefined, b: string): boolean => a?.toLowerCase() === b.toLowerCase();
  if (!same(given?.name, wanted.name) || !same(given?.product, wanted.product) || !same(given?.publisher, wanted.publisher))
    throw new ArmError(
      400,
      "VMMarketplaceInvalidInput",
      `Creating a virtual machine from Marketplace image or a custom image sourced from a Marketplace image requires Plan information in the request. VM: ''.`,
    );
  if (termsAccepted(estate, subscriptionId, wanted)) return;
  throw new ArmError(
    400,
    "MarketplacePurchaseEligibilityFailed",
    "Marketplace purchase eligibilty check returned errors. See inner errors for details. ",
    {
      details: [
        {
          code: "BadRequest",
          message: `Offer with PublisherId: '${wanted.publisher}', OfferId: '${wanted.product}' cannot be purchased due to validation errors. For more information see details. Correlation Id: '00000000-0000-0000-0000-000000000000'. User has not accepted the legal terms on this subscription for this plan ('${wanted.name}'). To accept legal terms, please use PowerShell cmdlets Get-AzMarketplaceTerms and Set-AzMarketplaceTerms, or deploy via the Azure portal to accept the terms.`,
        },
      ],
    },
  );
}
