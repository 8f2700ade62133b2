/** What we ask of a customer's administrator is little, and said in full wherever it is said. */
import { expect, test } from "vitest";
import { expectedRoles } from "../../shared/runbook/access.ts";
import { read } from "./sources.ts";

const MOST = 10;

test("Gatehouse asks for ten permissions of Microsoft Graph at most, and the document names each with the number", () => {
  const document = read("docs/permissions.md");
  const rows = (api: string): string[] =>
    [...document.matchAll(/^\| `([\w.]+)` \| ([\w ]+) \|/gm)].flatMap(([, name = "", of]) => (of === api ? [name] : []));
  expect(rows("Microsoft Graph").toSorted()).toEqual(expectedRoles.graph.toSorted());
  expect(rows("Exchange Online").toSorted()).toEqual(expectedRoles.exchange.toSorted());
  expect(expectedRoles.graph.length).toBeLessThanOrEqual(MOST);
  expect(document).toContain(`**${expectedRoles.graph.length} permissions of Microsoft Graph**`);
});

test("the application that operators make asks for the same", () => {
  const asked = [...read("infra/README.md").matchAll(/^ask (\S+) (.+)$/gm)].flatMap(([, api = "", roles = ""]) =>
    roles.split(" ").map((role) => ({ api, role })),
  );
  const rolesOf = (api: string): string[] => asked.filter((one) => one.api === api).map(({ role }) => role);
  expect(rolesOf("$graph").toSorted()).toEqual(expectedRoles.graph.toSorted());
  expect(rolesOf("00000002-0000-0ff1-ce00-000000000000").toSorted()).toEqual(expectedRoles.exchange.toSorted());
});
