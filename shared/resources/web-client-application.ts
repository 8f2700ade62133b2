/**
 * Mission D1 (manual, chapter 5.1): the application by which WebClient signs people in and reads the directory. Microsoft Graph only: Azure
 * AD Graph was retired in July 2025.
 */
import type { Graph } from "../graph/client.ts";
import { type ApplicationActual, MICROSOFT_GRAPH, ownedApplication, type OwnedApplication } from "../graph/owned-application.ts";
import type { Resource } from "./resource.ts";

export interface WebClientApplication extends OwnedApplication {
  /** With trailing slash, as the product asks. */
  redirectUris: string[];
  /** People's pictures are exported too, which takes a permission of its own. */
  thumbnails?: boolean | undefined;
}

export const webClientApplication = ({ graph }: { graph: Graph }): Resource<WebClientApplication, ApplicationActual> =>
  ownedApplication(graph, "webClientApplication", ({ redirectUris, thumbnails }) => ({
    redirectUris,
    idTokens: true,
    publicClient: false,
    exposed: true,
    permissions: {
      api: MICROSOFT_GRAPH,
      application: thumbnails ? ["Directory.Read.All", "User.Read.All"] : ["Directory.Read.All"],
      delegated: ["Directory.Read.All", "User.Read"],
    },
  }));
