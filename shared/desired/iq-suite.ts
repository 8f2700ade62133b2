/** What the spec says of iQ.Suite, as settings of a gateway's guest document. Pure. */
import type { GatewaySettings } from "../guest/gateway.ts";
import type { TenantSpec } from "../tenants/spec.ts";

export type IqSuiteSettings = Pick<GatewaySettings, "automatedSetUp" | "monitoring">;

export const iqSuiteSettings = ({ gateway }: Pick<TenantSpec, "gateway">): IqSuiteSettings => ({
  automatedSetUp: automatedSetUp(gateway),
  monitoring: gateway.iqSuite?.monitoring,
});

/** Mission B16: an image that is bought sets itself up, unless the spec says that it doesn't; any other one only where the spec says so. */
function automatedSetUp({ image, iqSuite }: TenantSpec["gateway"]): GatewaySettings["automatedSetUp"] {
  const { expected = image.plan !== undefined, removeTranscript = false } = iqSuite?.automatedSetUp ?? {};
  return expected || removeTranscript ? { removeTranscript } : undefined;
}
