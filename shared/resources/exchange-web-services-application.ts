/**
 * Mission D3 (manual, chapter 6.2): the application by which the gateways reach mailboxes. Where Exchange Online itself says into which (RBAC
 * for Applications), the permission to reach all of them must not stand beside it: the two add up.
 */
import type { Graph } from "../graph/client.ts";
import { type ApplicationActual, EXCHANGE_ONLINE, ownedApplication, type OwnedApplication } from "../graph/owned-application.ts";
import type { Resource } from "./resource.ts";

export interface ExchangeWebServicesApplication extends OwnedApplication {
  access: "scoped" | "allMailboxes";
}

const ALL_MAILBOXES = "full_access_as_app";

export const exchangeWebServicesApplication = ({
  graph,
}: {
  graph: Graph;
}): Resource<ExchangeWebServicesApplication, ApplicationActual> =>
  ownedApplication(graph, "exchangeWebServicesApplication", ({ access }) => ({
    idTokens: false,
    publicClient: false,
    exposed: false,
    permissions: {
      api: EXCHANGE_ONLINE,
      application: access === "allMailboxes" ? [ALL_MAILBOXES] : [],
      delegated: [],
      withheld: access === "allMailboxes" ? [] : [ALL_MAILBOXES],
    },
  }));
