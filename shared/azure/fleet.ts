/**
 * The whole fleet's power and availability, a page of 1,000 machines a request, through Azure Resource Graph; and one machine's, live.
 * Sources: Microsoft's "Azure Resource Graph sample queries: virtual machines by availability state and power state", "Working with large
 * data sets" (the skip token needs the column `id`), "Guidance for throttled requests" (15 queries in 5 seconds for each principal).
 */
import { setTimeout as wait } from "node:timers/promises";
import type { ResourceGraphClient } from "@azure/arm-resourcegraph";
import type { TokenCredential } from "@azure/identity";
import * as z from "zod";
import type { Credentials } from "../entra/credentials.ts";
import type { CloudEnvironment } from "../environment.ts";
import { type Observed, present } from "../resources/resource.ts";
import { type Azure, type FirstReply, patientOnce } from "./client.ts";
import { armFailureOf, azureError } from "./errors.ts";
import { PARTNER_TAG } from "./place.ts";

export interface SeenMachine {
  /** Azure's code, such as `PowerState/running`; undefined where Azure gave none. */
  power: string | undefined;
  /** `Available`, `Unavailable`, `Degraded` or `Unknown`; undefined where Resource Health has nothing about the machine. */
  availability: string | undefined;
  /** What Azure's agent on it says, such as `Ready`; only a look at the machine itself knows. */
  agent?: string | undefined;
}

/** One page holds a thousand machines; of a large fleet few are exceptions. */
export type Which = "everything" | "exceptions";

export interface Fleet {
  /**
   * Every machine with our tag in these subscriptions, by its id in lower case. What our principal may not read is missing without a word.
   * Of `exceptions` only those that don't run or are not quite available. Throws AzureBusy, AzureUnavailable, AzureAccessMissing or
   * AzureRefused; never answers in part.
   */
  list(entraTenantId: string, subscriptionIds: readonly string[], which: Which): Promise<Map<string, SeenMachine>>;
  /** One machine from Compute and Resource Health themselves: Resource Graph lags behind them by seconds to minutes. */
  look(entraTenantId: string, virtualMachineId: string): Promise<Observed<SeenMachine>>;
}

export interface FleetOptions {
  environment: CloudEnvironment;
  credentials: Credentials;
  azure: Azure;
  /** Waits until the quota is there again. */
  pause?: (milliseconds: number) => Promise<unknown>;
}

const machines = (which: string) => `Resources
| where type =~ 'microsoft.compute/virtualmachines' and isnotempty(tags['${PARTNER_TAG}'])
| extend joinId = tolower(id)
| join kind=leftouter (
    HealthResources
    | where type =~ 'microsoft.resourcehealth/availabilitystatuses'
    | project joinId = tolower(tostring(properties.targetResourceId)), availability = tostring(properties.availabilityState)
  ) on joinId
| project id, power = tostring(properties.extended.instanceView.powerState.code), availability${which}
| order by id asc`;
const QUERIES: Record<Which, string> = {
  everything: machines(""),
  exceptions: machines(`
| where power !~ 'PowerState/running' or not(isempty(availability) or availability in ('Available', 'Unknown'))`),
};

const PAGE_SIZE = 1000;
/** Microsoft's own tools name at most this many subscriptions in a query. */
const SUBSCRIPTIONS_A_QUERY = 1000;
/** Others may use up the same quota; after this many refusals of one page the sweep is given up. */
const TRIES_OF_A_PAGE = 4;
const WINDOW_IN_SECONDS = 5;

const rowsSchema = z.array(z.object({ id: z.string(), power: z.string().nullish(), availability: z.string().nullish() }));
const statusSchema = z.object({ properties: z.object({ availabilityState: z.string() }) });

export function createFleet({ environment, credentials, azure, pause = wait }: FleetOptions): Fleet {
  const { endpoint, audience } = environment.resourceManager;
  const clients = new WeakMap<TokenCredential, Promise<ResourceGraphClient>>();
  const clientOf = (entraTenantId: string): Promise<ResourceGraphClient> => {
    const credential = credentials.inTenant(entraTenantId);
    const client = clients.get(credential) ?? createGraphClient(credential, endpoint, `${audience}/.default`);
    clients.set(credential, client);
    return client;
  };

  async function listIn(
    client: ResourceGraphClient,
    subscriptions: string[],
    query: string,
    found: Map<string, SeenMachine>,
  ): Promise<void> {
    let skipToken: string | undefined;
    do {
      const page = await patiently(pause, (onResponse) =>
        client.resources(
          {
            subscriptions,
            query,
            options: { top: PAGE_SIZE, resultFormat: "objectArray", ...(skipToken === undefined ? {} : { skipToken }) },
          },
          { onResponse },
        ),
      );
      for (const { id, power, availability } of rowsSchema.parse(page.data))
        found.set(id.toLowerCase(), { power: power || undefined, availability: availability || undefined });
      skipToken = page.skipToken;
      // A cut answer must not pass for a whole one: what is missing from it would look as if it were gone.
      if (skipToken === undefined && page.resultTruncated === "true") throw new Error("the answer was cut without a way on");
    } while (skipToken !== undefined);
  }

  return {
    list: async (entraTenantId, subscriptionIds, which) => {
      const found = new Map<string, SeenMachine>();
      try {
        const client = await clientOf(entraTenantId);
        const all = [...new Set(subscriptionIds.map((id) => id.toLowerCase()))].toSorted();
        for (let from = 0; from < all.length; from += SUBSCRIPTIONS_A_QUERY)
          await listIn(client, all.slice(from, from + SUBSCRIPTIONS_A_QUERY), QUERIES[which], found);
      } catch (cause) {
        throw azureError("asking Resource Graph for the fleet", cause);
      }
      return found;
    },
    look: async (entraTenantId, virtualMachineId) => {
      const [, , subscriptionId = "", , resourceGroup = "", , , , name = ""] = virtualMachineId.split("/");
      const view = await azure.read({ entraTenantId, subscriptionId }, async (of) =>
        (await of.compute()).virtualMachines.instanceView(resourceGroup, name),
      );
      if (view.state !== "present") return view;
      const power = view.actual.statuses?.findLast(({ code }) => code?.startsWith("PowerState/"))?.code;
      // Of a machine that doesn't run Resource Health says what is known already.
      if (power !== "PowerState/running") return present({ power, availability: undefined });
      const status = await azure.get(
        entraTenantId,
        `${virtualMachineId}/providers/Microsoft.ResourceHealth/availabilityStatuses/current?api-version=2025-05-01`,
      );
      if (status.state === "unknown") return status;
      const availability =
        status.state === "present" ? statusSchema.parse(status.actual).properties.availabilityState : undefined;
      return present({ power, availability, agent: view.actual.vmAgent?.statuses?.[0]?.displayStatus ?? "Missing" });
    },
  };
}

/** Sends a query; when it took the last of the quota, waits until there is some again, before anybody asks the next. */
async function patiently<Answer>(
  pause: (milliseconds: number) => Promise<unknown>,
  send: (onResponse: (reply: FirstReply) => void) => Promise<Answer>,
): Promise<Answer> {
  for (let tries = 1; ; tries += 1) {
    let reply: FirstReply | undefined;
    try {
      const answer = await send((raw) => {
        reply = raw;
      });
      if (reply?.headers.get("x-ms-user-quota-remaining") === "0") await pause(resetsAfter(reply) * 1000);
      return answer;
    } catch (error) {
      const { status, retryAfterInSeconds } = armFailureOf(error);
      if (status !== 429 || tries === TRIES_OF_A_PAGE) throw error;
      await pause((retryAfterInSeconds ?? (reply === undefined ? WINDOW_IN_SECONDS : resetsAfter(reply))) * 1000);
    }
  }
}

/** `hh:mm:ss`; the whole window where the header can't be read. */
function resetsAfter({ headers }: FirstReply): number {
  const [, hours, minutes, seconds] = /^(\d+):(\d\d):(\d\d)/.exec(headers.get("x-ms-user-quota-resets-after") ?? "") ?? [];
  return seconds === undefined ? WINDOW_IN_SECONDS : (Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds);
}

async function createGraphClient(credential: TokenCredential, endpoint: string, scope: string): Promise<ResourceGraphClient> {
  const { ResourceGraphClient } = await import("@azure/arm-resourcegraph");
  return patientOnce(new ResourceGraphClient(credential, { endpoint, credentials: { scopes: [scope] } }));
}
