/** What another spec of a tenant that stands would leave behind: an onboarding makes and changes, and takes away machines of a region only. */
import type { TenantSpec } from "./spec.ts";

export interface LeftBehind {
  message: string;
  /** The field that says so. */
  target: string;
}

/** Undefined where an onboarding gets from one to the other. */
export function leftBehind(spec: TenantSpec, wanted: TenantSpec): LeftBehind | undefined {
  if (spec.microsoft365.tenantId !== wanted.microsoft365.tenantId)
    return { message: "its organisation stays the same", target: "microsoft365.tenantId" };
  if (spec.azure.tenantId !== wanted.azure.tenantId || spec.azure.subscriptionId !== wanted.azure.subscriptionId)
    return { message: "its subscription stays the same", target: "azure.subscriptionId" };
  const regions = wanted.gateway.regions.map(({ name }) => name);
  if (spec.gateway.regions.some(({ name }, index) => regions[index] !== name))
    return { message: "its regions stay, in their order; others come after them", target: "gateway.regions" };
  if (spec.gateway.keyManager !== undefined && wanted.gateway.keyManager === undefined)
    return { message: "its KeyManager machine can't be taken away yet", target: "gateway.keyManager" };
  if (spec.ucm !== undefined && wanted.ucm === undefined)
    return { message: "its UCM server can't be taken away yet", target: "ucm" };
  if (spec.gateway.monitoring !== undefined && wanted.gateway.monitoring === undefined)
    return { message: "what its machines report can't be switched off yet", target: "gateway.monitoring" };
  const { certificate } = spec.gateway;
  if (certificate !== undefined && certificate.name !== wanted.gateway.certificate?.name)
    return {
      message:
        "its certificate stays, and for the same name, since connectors name it: POST …/credentials/smtpCertificate/rotate with certificateName gives it another one while mail goes on",
      target: "gateway.certificate",
    };
  if (spec.gateway.diagnostics !== undefined && wanted.gateway.diagnostics === undefined)
    return { message: "its machines' diagnostics can't be moved back yet", target: "gateway.diagnostics" };
  const { file } = spec.directory ?? {};
  if (file !== undefined && file !== wanted.directory?.file)
    return { message: "its machines' directory stays in its file: they go on fetching it", target: "directory.file" };
  if (spec.connectionFilter && !wanted.connectionFilter)
    return { message: "its addresses can't be taken off the connection filter yet", target: "connectionFilter" };
  return undefined;
}
