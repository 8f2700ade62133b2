/** Admin consent, `/{tenant}/v2.0/adminconsent`: a page that an administrator reads and answers, without JavaScript. */
import type { Organization, SimulatedRequest, SimulatedResponse } from "../simulator.ts";
import type { Application, Directory } from "./directory.ts";
import { type EntraError, entraErrors } from "./errors.ts";
import { exchangeAdministrator, exchangeOnline } from "./first-party.ts";
import { createSettling } from "../settling.ts";
import { consentKey, type Entra, findOrganization } from "./token-endpoint.ts";

/** An Entra role that Exchange Online doesn't know of yet. */
export const roleKey = (tenantId: string, principalId: string): string => `exchange role/${tenantId}/${principalId}`;

/** An Entra role that was taken away, and that Exchange Online goes on honouring for a while. */
export const droppedKey = (tenantId: string, principalId: string): string => `exchange role dropped/${tenantId}/${principalId}`;

interface Question {
  application: Application;
  scope: string;
  redirectUri: string;
  state: string | undefined;
}

/**
 * The page for GET, the redirect for POST. What is wrong with the question itself (client, redirect) is shown on a page and never sent
 * to the redirect URI, as RFC 6749, chapter 4.1.2.1, asks.
 */
export function answerConsentRequest(entra: Entra, tenant: string, request: SimulatedRequest): SimulatedResponse {
  const { platform, directory } = entra;
  const given = (name: string): string | undefined => {
    const posted: unknown =
      typeof request.body === "object" && request.body !== null ? Reflect.get(request.body, name) : undefined;
    return (typeof posted === "string" ? posted : undefined) ?? request.url.searchParams.get(name) ?? undefined;
  };
  const organization = tenant === "organizations" ? undefined : findOrganization(platform, tenant);
  if (tenant !== "organizations" && !organization) return errorPage(entraErrors.tenantNotFound(tenant));
  const question = readQuestion(directory, tenant, given);
  if ("number" in question) return errorPage(question);
  if (request.method !== "POST") return page(consentPage(entra, tenant, organization, question));

  const account = (given("account") ?? "").trim().toLowerCase();
  const theirs = findOrganization(platform, account.slice(account.lastIndexOf("@") + 1));
  if (!theirs) return errorPage(entraErrors.accountUnknown(account));
  if (organization && organization.tenantId !== theirs.tenantId)
    return errorPage(entraErrors.accountForeign(account, organization.displayName));
  if (given("action") !== "accept") return declined(question, theirs);
  // The administrator is `admin@` in each of the organisation's domains; mailboxes are users.
  if (!account.startsWith("admin@")) return errorPage(entraErrors.administratorNeeded());
  grant(entra, theirs.tenantId, question.application);
  const answer = {
    admin_consent: "True",
    tenant: theirs.tenantId,
    ...(question.state === undefined ? {} : { state: question.state }),
    scope: question.scope,
  };
  return { status: 302, headers: { location: withQuery(question.redirectUri, answer) }, effect: "write" };
}

function readQuestion(directory: Directory, tenant: string, given: (name: string) => string | undefined): Question | EntraError {
  const clientId = given("client_id");
  if (clientId === undefined) return entraErrors.parameterMissing("client_id");
  const application = directory.registeredApplication(clientId)?.application;
  if (!application || application.signInAudience === "AzureADMyOrg") return entraErrors.applicationNotFound(clientId, tenant);
  const redirectUri = given("redirect_uri");
  if (redirectUri === undefined) return entraErrors.parameterMissing("redirect_uri");
  if (!application.redirectUris.some((registered) => sameRedirect(registered, redirectUri)))
    return entraErrors.redirectUnknown(redirectUri, clientId);
  const scope = given("scope");
  if (scope === undefined) return entraErrors.parameterMissing("scope");
  // Application permissions can be asked for by `.default` only ("Admin consent on the Microsoft identity platform").
  if (!scope.split(" ").every((one) => one.endsWith("/.default"))) return entraErrors.scopeInvalid(scope);
  return { application, scope, redirectUri, state: given("state") };
}

/** Letter by letter, but for the port of the loopback address (RFC 8252, chapter 7.3, as Entra has it for localhost and 127.0.0.1). */
function sameRedirect(registered: string, asked: string): boolean {
  if (registered === asked) return true;
  const [one, other] = [URL.parse(registered), URL.parse(asked)];
  if (!one || !other || one.protocol !== "http:" || !["localhost", "127.0.0.1"].includes(one.hostname)) return false;
  return (
    other.protocol === "http:" &&
    other.hostname === one.hostname &&
    other.pathname === one.pathname &&
    other.search === one.search
  );
}

/** What the application registered as required is granted, in every resource, as `.default` means. */
function grant({ platform, directory }: Entra, tenantId: string, application: Application): void {
  const settling = createSettling(platform);
  const principal = directory.ensureServicePrincipal(tenantId, application.appId);
  if (!principal) return;
  for (const { resourceAppId, resourceAccess } of application.requiredResourceAccess) {
    const resource = directory.ensureServicePrincipal(tenantId, resourceAppId);
    if (!resource) continue;
    const had = directory.rolesOf(tenantId, principal.id, resourceAppId).length;
    for (const { id, type } of resourceAccess) {
      if (type === "Role")
        directory.ensureAppRoleAssignment(tenantId, { principalId: principal.id, resourceId: resource.id, appRoleId: id });
    }
    // Consent alone doesn't open Exchange: the same administrator assigns the Entra role, by hand or script, in the same sitting.
    if (resourceAppId === exchangeOnline) {
      if (!directory.holdsDirectoryRole(tenantId, principal.id, exchangeAdministrator))
        settling.begin(roleKey(tenantId, principal.id), { looks: 2 });
      directory.ensureDirectoryRole(tenantId, principal.id, exchangeAdministrator);
    }
    // Tokens come from another replica than the one that took the consent.
    if (directory.rolesOf(tenantId, principal.id, resourceAppId).length > had)
      settling.begin(consentKey(tenantId, principal.id, resourceAppId));
  }
}

function declined({ application, redirectUri, state }: Question, { tenantId }: Organization): SimulatedResponse {
  const { error, number, text } = entraErrors.consentDeclined(application.appId);
  const answer = {
    error,
    error_description: `AADSTS${number}: ${text}`,
    tenant: tenantId,
    ...(state === undefined ? {} : { state }),
  };
  return { status: 302, headers: { location: withQuery(redirectUri, answer) } };
}

function withQuery(uri: string, parameters: Record<string, string>): string {
  const url = new URL(uri);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value);
  return url.href;
}

function consentPage(
  { platform, directory }: Entra,
  tenant: string,
  organization: Organization | undefined,
  question: Question,
): string {
  const { application, scope, redirectUri, state } = question;
  const account = organization
    ? `admin@${(organization.domains.find(({ initial }) => initial) ?? organization.domains[0])?.name ?? ""}`
    : "";
  const accounts = platform.organizations
    .values()
    .flatMap(({ domains }) => domains.filter(({ verified }) => verified).map(({ name }) => `admin@${name}`));
  const permissions = application.requiredResourceAccess.flatMap(({ resourceAppId, resourceAccess }) => {
    const { appRoles = [], displayName = resourceAppId } = directory.describe(resourceAppId) ?? {};
    return resourceAccess.map(({ id }) => ({ role: appRoles.find((one) => one.id === id), id, displayName }));
  });
  const hidden = { client_id: application.appId, scope, redirect_uri: redirectUri, ...(state === undefined ? {} : { state }) };
  return `
    <h1>Permissions requested</h1>
    <p><strong>${escape(application.displayName)}</strong> asks for these permissions${organization ? ` in <strong>${escape(organization.displayName)}</strong>` : ""}, for the whole organisation:</p>
    <ul>${permissions.map(({ role, id, displayName }) => `<li>${escape(displayName)}: ${escape(role?.displayName ?? id)} <code>${escape(role?.value ?? id)}</code></li>`).join("")}</ul>
    <form method="post" action="/${encodeURIComponent(tenant)}/v2.0/adminconsent">
      ${Object.entries(hidden)
        .map(([name, value]) => `<input type="hidden" name="${name}" value="${escape(value)}">`)
        .join("\n      ")}
      <label>Sign in as administrator <input type="email" name="account" list="accounts" required value="${escape(account)}"></label>
      <datalist id="accounts">${(organization ? [account] : accounts).map((one) => `<option value="${escape(one)}">`).join("")}</datalist>
      <p><button type="submit" name="action" value="accept">Accept</button> <button type="submit" name="action" value="cancel">Cancel</button></p>
    </form>`;
}

function errorPage({ number, text, status }: EntraError): SimulatedResponse {
  return page(`<h1>Sorry, but we’re having trouble signing you in.</h1><p>AADSTS${number}: ${escape(text)}</p>`, status);
}

const page = (content: string, status = 200): SimulatedResponse => ({
  status,
  headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" },
  body: `<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width">
    <title>Simulated Entra</title>
    <style>body { font: 1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 3rem auto; padding: 0 1rem } input { font: inherit; width: 100% } button { font: inherit; padding: .3rem 1.2rem }</style>
  </head>
  <body>${content}
  </body>
</html>
`,
});

const entities: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };
const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => entities[character] ?? character);
