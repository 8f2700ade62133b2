/** What the API's routes need to work: the part of the world that every capability with a door has. */
import type { Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import type { Stores } from "../stores/stores.ts";
import type { Authenticate } from "./authentication.ts";
import type { Signer } from "./signing.ts";

export interface ApiWorld {
  stores: Stores;
  authenticate: Authenticate;
  signer: Signer;
  log: Log;
  clock: Clock;
  settings: {
    /** Client id of our application: the audience of the API's tokens. */
    applicationId: string;
    homeTenantId: string;
    /** Base URL that callers reach the API at, without a slash at its end. */
    publicUrl: string;
    /** Base URL of Entra, for the OpenAPI document and WWW-Authenticate. */
    authorityHost: string;
  };
}
