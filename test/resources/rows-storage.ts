/** What the conformance suite needs to know about a tenant's storage account for diagnostics. */
import { ownershipTags } from "../../shared/azure/place.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { somebodyElse } from "./conformance.ts";
import { type Json, owner, place, type World } from "./ground.ts";
import type { RowOf } from "./rows.ts";

type Account = DesiredOf<Resources["diagnosticsAccount"]>;

const pathOf = ({ subscriptionId, resourceGroup, name }: Account): string =>
  `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/Microsoft.Storage/storageAccounts/${name}`;

const changing =
  (changed: Json, more: Json = {}) =>
  ({ arm }: World, desired: Account): Promise<void> =>
    arm.change(pathOf(desired), ({ properties, ...rest }) => ({
      ...rest,
      ...more,
      properties: { ...(properties as Json), ...changed },
    }));

const diagnosticsAccount: RowOf<"diagnosticsAccount"> = {
  prepare: async (one) => (await one.ground(), { ...place, name: "contosoconformdiag", replication: "LRS" }),
  drifts: [
    { paths: ["minimalTls"], change: changing({ minimumTlsVersion: "TLS1_0" }) },
    { paths: ["publicBlobs"], change: changing({ allowBlobPublicAccess: true }) },
    { paths: ["httpsOnly"], change: changing({ supportsHttpsTrafficOnly: false }) },
    { paths: ["replication"], change: changing({}, { sku: { name: "Standard_GRS" } }) },
  ],
  fixed: {
    region: (desired) => ({ ...desired, region: "northeurope" }),
    kind: "the spec can't name another",
    provisioningState: "an account's last write leaves none that failed",
  },
  unowned: {
    what: "a tag",
    set: ({ arm }, desired) => arm.tag(pathOf(desired), { ...ownershipTags(owner), costCentre: "7" }),
    read: async ({ arm }, desired) => (await arm.get(pathOf(desired)))["tags"],
  },
  stranger: {
    what: "without our tags",
    meets: "conflict",
    async set({ arm, ensure }, desired) {
      await ensure("diagnosticsAccount", desired);
      await arm.tag(pathOf(desired), { ...ownershipTags(somebodyElse) });
    },
    read: ({ arm }, desired) => arm.get(pathOf(desired)),
    unset: ({ arm }, desired) => arm.tag(pathOf(desired), ownershipTags(desired.owner)),
  },
  count: async ({ arm }, desired) =>
    (await arm.namesIn(pathOf(desired).replace(/\/[^/]+$/, ""))).filter((name) => name === desired.name).length,
};

export const storageRows = { diagnosticsAccount };
