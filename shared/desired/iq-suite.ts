/** What the spec says of iQ.Suite, as settings of a gateway's guest document. Pure. */
import { type GatewaySettings, LDIF_FILE } from "../guest/gateway.ts";
import type { TenantSpec } from "../tenants/spec.ts";
import type { SecretReference } from "../vault/reference.ts";
import type { Ground, GuestGeneration } from "./state.ts";

type IqSuiteSettings = Pick<
  GatewaySettings,
  "automatedSetUp" | "monitoring" | "mailReporting" | "webClient" | "ldif" | "exchangeWebServices"
>;

export type IqSuiteGround = Pick<Ground, "applications" | "namedSecrets">;

export const iqSuiteSettings = (
  { microsoft365, gateway, directory }: Pick<TenantSpec, "microsoft365" | "gateway" | "directory">,
  ground: IqSuiteGround,
  { computerName }: { computerName: string },
  { clientSecret, exchangeWebServicesSecret }: Pick<GuestGeneration, "clientSecret" | "exchangeWebServicesSecret">,
): IqSuiteSettings => {
  const { iqSuite = {} } = gateway;
  const tenantDomain = microsoft365.domains[0] ?? "";
  const secretOf = (name: string): SecretReference => secretNamed(ground, name);
  /** WebClient's application with its secret; nothing that signs in with it is set up before it has one. */
  const signIn = ground.applications && clientSecret && { tenantDomain, clientId: ground.applications.appId, clientSecret };
  return {
    automatedSetUp: automatedSetUp(gateway),
    monitoring: iqSuite.monitoring,
    mailReporting: iqSuite.mailReporting?.account.map(({ secret, ...account }) =>
      secret === undefined ? account : { name: account.name, secret: secretOf(secret) },
    ),
    webClient: signIn && webClient(iqSuite, signIn, ground, directory?.file),
    ldif: signIn && ldif(iqSuite.ldifGenerator, signIn, secretOf, computerName),
    exchangeWebServices: exchangeWebServices(
      iqSuite.exchangeWebServices,
      microsoft365.tenantId,
      ground,
      exchangeWebServicesSecret,
    ),
  };
};

type IqSuite = NonNullable<TenantSpec["gateway"]["iqSuite"]>;
type SignIn = Pick<NonNullable<GatewaySettings["webClient"]>, "tenantDomain" | "clientId" | "clientSecret">;

/** Mission B16: an image that is bought sets itself up, unless the spec says that it doesn't; any other one only where the spec says so. */
export function automatedSetUp({ image, iqSuite }: TenantSpec["gateway"]): GatewaySettings["automatedSetUp"] {
  const { expected = image.plan !== undefined, removeTranscript = false } = iqSuite?.automatedSetUp ?? {};
  return expected || removeTranscript ? { removeTranscript } : undefined;
}

/** Mission B10, B11. */
function webClient(
  { webClient: wanted, ldifGenerator }: IqSuite,
  signIn: SignIn,
  ground: IqSuiteGround,
  fetched: string | undefined,
): GatewaySettings["webClient"] {
  if (wanted === undefined) return undefined;
  const generated = ldifGenerator && (ldifGenerator.customPath ?? LDIF_FILE);
  return {
    ...signIn,
    powerShellClientId: ground.applications?.powerShell?.appId,
    ldifFile: wanted.ldifFile ?? generated ?? fetched ?? "",
    groupSearchDepth: wanted.groupSearchDepth,
    adminGroups: wanted.adminGroups,
    resetFlag: wanted.resetSecurityContext?.flag,
  };
}

/** Mission B12: the WebClient is asked on the machine itself. */
function ldif(
  wanted: IqSuite["ldifGenerator"],
  signIn: SignIn,
  secretOf: (name: string) => SecretReference,
  computerName: string,
): GatewaySettings["ldif"] {
  if (wanted === undefined) return undefined;
  const { administrator, synchronizationUser, groupSearchDepth, customProperties, customPath } = wanted;
  return {
    ...signIn,
    webClientUri: `https://${computerName}/webclient`,
    user: administrator.user,
    password: secretOf(administrator.password),
    microsoft365User: synchronizationUser.user,
    microsoft365Password: secretOf(synchronizationUser.password),
    groupSearchDepth,
    customProperties,
    customPath,
  };
}

/** Mission B13: the tenant's id here, not its name. Our own application is named once it has a secret, which is rotated. */
function exchangeWebServices(
  wanted: IqSuite["exchangeWebServices"],
  tenantId: string,
  ground: IqSuiteGround,
  secret: SecretReference | undefined,
): GatewaySettings["exchangeWebServices"] {
  if (wanted) return { tenantId, clientId: wanted.clientId, clientSecret: secretNamed(ground, wanted.clientSecret) };
  const ours = ground.applications?.exchangeWebServices;
  return ours && secret && { tenantId, clientId: ours.appId, clientSecret: secret };
}

function secretNamed({ namedSecrets }: IqSuiteGround, name: string): SecretReference {
  const found = namedSecrets?.[name];
  if (found === undefined) throw new Error(`nobody has looked for the secret ${name} in the vault`);
  return found;
}

/** Secrets that somebody else has put into the tenant's vault, each once. */
export function namedSecrets({ gateway: { iqSuite = {} } }: Pick<TenantSpec, "gateway">): string[] {
  const { mailReporting, ldifGenerator, exchangeWebServices: services } = iqSuite;
  const names = [
    ...(mailReporting?.account ?? []).map(({ secret }) => secret),
    ldifGenerator?.administrator.password,
    ldifGenerator?.synchronizationUser.password,
    services?.clientSecret,
  ];
  return [...new Set(names.filter((name) => name !== undefined))];
}

/** Mission F10: whether applications have to stand before the machines that name them. */
export const namesApplications = ({ gateway: { iqSuite } }: Pick<TenantSpec, "gateway">): boolean =>
  iqSuite?.webClient !== undefined || iqSuite?.ldifGenerator !== undefined || iqSuite?.exchangeWebServices !== undefined;
