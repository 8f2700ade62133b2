/**
 * `/groups` by name, and `/groups/{id}/members` (Graph v1.0). Groups are the directory's, in the collection `entra.groups`, keyed
 * `${tenantId}/${id}`; nothing here makes any: an administrator has.
 */
import type { Collection, Platform } from "../simulator.ts";
import { resourceNotFound } from "./answers.ts";
import { filtered, paged, selected } from "./query.ts";
import type { GraphRequest, Route } from "./route.ts";

export interface DirectoryGroup {
  tenantId: string;
  id: string;
  displayName: string;
  members: { id: string; type: "user" | "group" | "servicePrincipal" }[];
}

export const directoryGroups = (platform: Platform): Collection<DirectoryGroup> => platform.collection("entra.groups");

/** Source: permissions reference; members are shown with type and id even where their other properties may not be read. */
const readGroups = ["GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"];
const PAGE = 100;

export const groupRoutes: Route[] = [
  {
    method: "GET",
    pattern: /^\/groups$/,
    permissions: readGroups,
    run: (graph) => {
      const { url } = graph.request;
      const groups = groupsOf(graph).map(({ id, displayName }) => ({ id, displayName, securityEnabled: true }));
      const { page, nextLink } = paged(filtered(groups, url), url, PAGE);
      const value = page.map((group) => selected(group, url));
      return { status: 200, body: { "@odata.context": graph.context("groups"), ...next(nextLink), value } };
    },
  },
  {
    method: "GET",
    pattern: /^\/groups\/([^/]+)\/members$/,
    permissions: readGroups,
    run: (graph) => {
      const [id = ""] = graph.parts;
      const group = groupsOf(graph).find((one) => one.id === id.toLowerCase());
      if (group === undefined) throw resourceNotFound(id);
      const { page, nextLink } = paged(group.members, graph.request.url, PAGE);
      const value = page.map((member) => ({ "@odata.type": `#microsoft.graph.${member.type}`, id: member.id }));
      return { status: 200, body: { "@odata.context": graph.context("directoryObjects"), ...next(nextLink), value } };
    },
  },
];

const groupsOf = ({ platform, tenantId }: GraphRequest): DirectoryGroup[] =>
  directoryGroups(platform)
    .values()
    .filter((group) => group.tenantId === tenantId);

const next = (link: string | undefined): object => (link === undefined ? {} : { "@odata.nextLink": link });
