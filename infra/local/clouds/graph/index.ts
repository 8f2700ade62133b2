/** Simulated Microsoft Graph v1.0: organisation, domains, applications, service principals, grants, and mail. */
import { createDirectory } from "../entra/directory.ts";
import { createSettling } from "../settling.ts";
import type { Platform, SimulatedRequest, SimulatedResponse, Simulator } from "../simulator.ts";
import { failure, GraphFailure, requestDenied } from "./answers.ts";
import { applicationRoutes } from "./applications.ts";
import { groupRoutes } from "./groups.ts";
import { deltaRoutes } from "./delta.ts";
import { mailRoutes } from "./mail.ts";
import { messageTraceRoutes } from "./message-traces.ts";
import { organizationRoutes } from "./organization.ts";
import { roleAssignmentRoutes } from "./role-assignments.ts";
import type { Route } from "./route.ts";
import { servicePrincipalRoutes } from "./service-principals.ts";
import { createThrottle } from "./throttle.ts";

const VERSION = "/v1.0";
const routes: Route[] = [
  ...deltaRoutes,
  ...organizationRoutes,
  ...groupRoutes,
  ...applicationRoutes,
  ...servicePrincipalRoutes,
  ...roleAssignmentRoutes,
  ...mailRoutes,
  ...messageTraceRoutes,
];

export function createGraph(platform: Platform): Simulator {
  const directory = createDirectory(platform);
  const settling = createSettling(platform);
  const throttle = createThrottle(platform);

  async function handle(request: SimulatedRequest): Promise<SimulatedResponse> {
    try {
      return await route(request);
    } catch (error) {
      if (error instanceof GraphFailure) {
        const { status, headers, body } = failure(error, request.headers["client-request-id"], platform.now());
        return { status, headers: { ...headers, ...error.headers }, body };
      }
      throw error;
    }
  }

  async function route(request: SimulatedRequest): Promise<SimulatedResponse> {
    const { graph } = platform.environment;
    const claims = await platform.verify(request, graph.audience);
    const organization = claims && platform.organizations.get(claims.tid);
    if (!claims || !organization)
      throw new GraphFailure(
        401,
        "InvalidAuthenticationToken",
        "Access token validation failure. Invalid audience, issuer, signature or lifetime.",
      );
    const path = pathOf(request.url);
    if (path === undefined) throw new GraphFailure(400, "BadRequest", "Invalid version: only v1.0 is there.");
    const known = routes.filter(({ pattern }) => pattern.test(path));
    const found = known.find(({ method }) => method === request.method);
    if (known.length === 0)
      throw new GraphFailure(400, "BadRequest", `Resource not found for the segment '${path.split("/")[1] ?? ""}'.`);
    if (!found) throw new GraphFailure(405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target.");
    if (!found.permissions.some((permission) => claims.roles?.includes(permission)))
      throw mailRoutes.includes(found) ? accessDenied() : requestDenied();
    const mail = mailRoutes.includes(found);
    const applicationId = claims.appid ?? claims.azp ?? claims.oid;
    const spent = mail ? undefined : throttle({ tenantId: claims.tid, applicationId }, request, path);
    if (spent?.retryAfterInSeconds !== undefined)
      throw new GraphFailure(429, "TooManyRequests", "Too many requests. Please retry again later.", {
        ...spent.headers,
        "retry-after": String(spent.retryAfterInSeconds),
      });
    const answer = await found.run({
      platform,
      directory,
      settling,
      organization,
      tenantId: claims.tid,
      claims,
      request,
      parts: (found.pattern.exec(path) ?? []).slice(1),
      context: (fragment) => `${graph.endpoint}${VERSION}/$metadata#${fragment}`,
    });
    return { ...answer, headers: { ...answer.headers, ...spent?.headers } };
  }

  return {
    name: "graph",
    handle,
    state: () =>
      platform.organizations.values().map(({ tenantId, domains }) => ({
        tenantId,
        domains,
        applications: directory.applications(tenantId).map(({ id, appId, displayName, uniqueName, passwordCredentials }) => ({
          id,
          appId,
          displayName,
          uniqueName,
          secrets: passwordCredentials.map(({ keyId, displayName: name, endDateTime }) => ({
            keyId,
            displayName: name,
            endDateTime,
          })),
        })),
        servicePrincipals: directory
          .servicePrincipals(tenantId)
          .map(({ id, appId, displayName }) => ({ id, appId, displayName })),
        oauth2PermissionGrants: directory.oauth2PermissionGrants(tenantId),
      })),
  };
}

/** The path behind `/v1.0`, decoded segment by segment so that an encoded slash stays in its value. */
function pathOf({ pathname }: URL): string | undefined {
  const at = pathname.indexOf(`${VERSION}/`);
  if (at < 0) return undefined;
  return pathname
    .slice(at + VERSION.length)
    .replace(/\/$/, "")
    .split("/")
    .map((segment) => decodeURIComponent(segment).replaceAll("/", "%2F"))
    .join("/");
}

/** Exchange's own words behind Graph. */
const accessDenied = (): GraphFailure =>
  new GraphFailure(403, "ErrorAccessDenied", "Access is denied. Check credentials and try again.");
