/** What the conformance suite needs to know about SPF records in Azure DNS. */
import { PARTNER_TAG, TENANT_TAG } from "../../shared/azure/place.ts";
import type { DesiredOf } from "../../shared/durable/resources.ts";
import type { Resources } from "../../shared/resources/index.ts";
import { somebodyElse } from "./conformance.ts";
import { egressIps, type Json, owner, place, type World } from "./ground.ts";
import type { RowOf } from "./rows.ts";

type Desired = DesiredOf<Resources["spfRecord"]>;

const zoneId = `/subscriptions/${place.subscriptionId}/resourceGroups/${place.resourceGroup}/providers/Microsoft.Network/dnsZones/contoso.example`;
const path = `${zoneId}/TXT/@`;
const text = (...values: string[]): Json => ({ TXTRecords: values.map((value) => ({ value: [value] })) });
const VERIFICATION = "MS=ms00000001";

interface Text {
  value: string[];
}
const isSpf = ({ value }: Text): boolean => value.join("").startsWith("v=spf1");
const textsOf = ({ properties }: Json): Text[] => (properties as { TXTRecords?: Text[] }).TXTRecords ?? [];

/** Somebody edits the record and leaves what is beside it. */
const replacing =
  (record: string) =>
  ({ arm }: World): Promise<void> =>
    arm.change(path, (set) => {
      const TXTRecords = textsOf(set).map((one) => (isSpf(one) ? { value: [record] } : one));
      return { ...set, properties: { ...(set["properties"] as Json), TXTRecords } };
    });

const spfRecord: RowOf<"spfRecord"> = {
  async prepare(one) {
    await one.ensure("resourceGroup", place);
    await one.arm.put(zoneId, { location: "global" });
    return {
      owner,
      entraTenantId: place.entraTenantId,
      zoneId,
      domain: "contoso.example",
      addresses: egressIps,
      earlier: "go",
    } satisfies Desired;
  },
  drifts: [
    { paths: ["records"], change: replacing("v=spf1 include:spf.protection.outlook.com -all") },
    { paths: ["records"], change: replacing("v=spf1 a ip4:203.0.113.7 ~all") },
    { paths: ["records"], change: replacing("v=spf1 -ip4:203.0.113.8 include:spf.protection.outlook.com -all") },
  ],
  fixed: {},
  unowned: {
    what: "another text of the same name, a term in the same record",
    async set(one) {
      await one.arm.change(path, ({ properties, ...rest }) => ({
        ...rest,
        properties: {
          ...(properties as Json),
          metadata: { ...((properties as Json)["metadata"] as Json), costCentre: "7" },
          ...text(VERIFICATION, "v=spf1 ip4:203.0.113.7 ip4:203.0.113.8 mx include:spf.protection.outlook.com ~all"),
        },
      }));
    },
    async read({ arm }) {
      const set = await arm.get(path);
      const { TTL, metadata } = set["properties"] as Record<string, Json>;
      return { TTL, costCentre: metadata?.["costCentre"], others: textsOf(set).filter((one) => !isSpf(one)) };
    },
  },
  stranger: {
    what: "with another tenant's mark",
    meets: "conflict",
    async set({ arm }) {
      const metadata = { [PARTNER_TAG]: somebodyElse.partnerId, [TENANT_TAG]: somebodyElse.tenantId };
      await arm.put(path, { properties: { TTL: 300, metadata, ...text("v=spf1 ip4:198.51.100.7 ~all") } });
    },
    read: ({ arm }) => arm.get(path),
    unset: ({ arm }) => arm.delete(path),
  },
  // A record of the customer's stays, without us.
  async count({ arm }, { addresses }) {
    const set = await arm.get(path).catch(() => undefined);
    return set === undefined
      ? 0
      : textsOf(set).filter(({ value }) => addresses.some((one) => value.join("").includes(one))).length;
  },
  // What the record costs receivers is asked of the domain name system, whose failures have tests of their own.
  askedByOthers: ({ cloud }) => cloud === "dns",
};

export const dnsRows = { spfRecord };
