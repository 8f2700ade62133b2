/** Mission D2 (manual, chapter 5.1.4): the application by which iQ.Suite's PowerShell acts in WebClient for people who signed in. */
import type { Graph } from "../graph/client.ts";
import {
  type ApplicationActual,
  ownedApplication,
  type OwnedApplication,
  USER_IMPERSONATION,
} from "../graph/owned-application.ts";
import type { Resource } from "./resource.ts";

export interface PowerShellApplication extends OwnedApplication {
  /** Client id of the WebClient's application, which has to be there before. */
  webClientId: string;
}

export const powerShellApplication = ({ graph }: { graph: Graph }): Resource<PowerShellApplication, ApplicationActual> =>
  ownedApplication(graph, "powerShellApplication", ({ webClientId }) => ({
    idTokens: true,
    publicClient: true,
    exposed: false,
    permissions: { api: webClientId, ours: true, application: [], delegated: [USER_IMPERSONATION] },
  }));
