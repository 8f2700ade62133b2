/** A chapter of a tenant's life over the real command, with a kill of the host at a moment of it, and what there is afterwards. */
import { setTimeout as pause } from "node:timers/promises";
import { askForConsent } from "../../infra/local/customer.ts";
import type { ApiClient } from "../../shared/api/client.ts";
import type { Operation } from "../../shared/api/operation.ts";
import { ended } from "../../shared/stores/operations.ts";
import type { Chapter } from "./chapters.ts";
import { clientSecretsIn } from "./client-secrets.ts";
import { type Endpoints, endpointsOf, type NewCustomer, openCloudsIn, partnerOf } from "./command.ts";
import type { Estate } from "./estate.ts";
import { anonymous, estateIn, killProcess } from "./kills.ts";

/** When the host is killed. */
export interface Moment {
  step: string;
  when: "begun" | "ended";
}

export interface Lived {
  chapter: string;
  status: Operation["status"];
  error: Operation["error"];
  stage: string;
  /** With how many versions of each secret this chapter has added. */
  estate: string;
  /** Times at which the gateway held a client secret that Entra would have refused, while that was replaced. */
  outages: number;
}

/** One that has a customer's whole life: operations that began by themselves are known by not having been lived. */
export interface Living {
  folder: string;
  customer: NewCustomer;
  lived: Set<string>;
}

export const living = (folder: string, customer: NewCustomer): Living => ({ folder, customer, lived: new Set() });

export const momentsOf = ({ steps }: Operation): Moment[] =>
  steps.flatMap(({ name }) => (["begun", "ended"] as const).map((when) => ({ step: name, when })));

/** The host has better to do than to say how far it is, once no moment is waited for. */
const [SOON, LATER] = [15, 250];

const CAME: Record<Moment["when"], Step["status"][]> = {
  begun: ["Running", "Succeeded", "Failed", "Skipped"],
  ended: ["Succeeded", "Failed", "Skipped"],
};

type Step = Operation["steps"][number];

const came = ({ steps }: Operation, { step, when }: Moment): boolean =>
  steps.some(({ name, status }) => name === step && CAME[when].includes(status));

/**
 * @param momentsIn when the host is killed, if it is
 * @param met called when one came; a step that has nothing to do may never begin
 */
export async function live(
  { folder, customer, lived }: Living,
  chapter: Chapter,
  momentsIn: (operation: Operation) => Moment[] = () => [],
  met: (moment: Moment) => void = () => undefined,
): Promise<Lived> {
  const endpoints = await endpointsOf(folder);
  const partner = partnerOf(endpoints);
  const { tenantId } = customer;
  const before = await estateIn(folder, customer);
  const eye = chapter.kind === "rotation" ? watchClientSecret(folder, customer, endpoints) : undefined;
  let operation = await chapter.ask({ endpoints, partner, customer, lived });
  lived.add(operation.id);
  const moments = momentsIn(operation);
  let asked = false;
  for (;;) {
    const next = moments.findIndex((moment) => came(operation, moment));
    for (const moment of next < 0 ? [] : moments.splice(next, 1)) {
      await killProcess(folder, "host");
      met(moment);
    }
    if (ended(operation)) break;
    if (operation.waitingFor?.kind === "consent" && !asked)
      asked = await askForConsent(partner, tenantId, false, { say: () => undefined });
    await pause(moments.length > 0 ? SOON : LATER);
    operation = (await partner.getOperation({ operationId: operation.id })).body;
  }
  if (eye) await released(partner, tenantId);
  const { stage } = (await partner.getTenant({ tenantId })).body;
  const { status, error } = operation;
  const left = await estateIn(folder, customer);
  const estate = anonymous({ ...left, secrets: added(before.secrets, left.secrets) }, customer);
  return { chapter: chapter.name, status, error, stage, estate, outages: eye?.closed() ?? 0 };
}

const added = (before: Estate["secrets"], after: Estate["secrets"]): Estate["secrets"] =>
  Object.fromEntries(Object.entries(after).map(([name, versions]) => [name, versions - (before[name] ?? 0)]));

/** No rotation of its client secret is under way, and Entra takes none but that which its gateway holds. */
export async function released(partner: ApiClient, tenantId: string, generation = 1): Promise<void> {
  for (;;) {
    const { value } = (await partner.listCredentials({ tenantId })).body;
    const secret = value.find(({ name }) => name === "clientSecret");
    if (secret && secret.generation >= generation && !secret.overlapping && secret.operationId === undefined) return;
    await pause(50);
  }
}

/** What the simulated clouds hold at each moment, in their own database: nothing of it comes through a door that redacts. */
function watchClientSecret(folder: string, { spec }: NewCustomer, endpoints: Endpoints) {
  const clouds = openCloudsIn(folder, endpoints);
  const wanted = { subscription: spec.azure.subscriptionId, organization: spec.microsoft365.tenantId };
  let outages = 0;
  const look = (): void => {
    const { held, valid } = clientSecretsIn(clouds, wanted);
    if (held !== undefined && !valid.some(({ hash }) => hash === held)) outages += 1;
  };
  const watching = setInterval(look, 20);
  return {
    /** At last there is one secret, and it is the one that the gateway holds. */
    closed: (): number => {
      clearInterval(watching);
      const { held, valid } = clientSecretsIn(clouds, wanted);
      if (valid.length !== 1 || valid[0]?.hash !== held) throw new Error(`Entra takes ${valid.length} secrets after a rotation`);
      clouds.close();
      return outages;
    },
  };
}
