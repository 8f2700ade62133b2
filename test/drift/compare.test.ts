/** What a look shows as drift: who brings it back is said before anybody begins, so that no repair begins which is known to be refused. */
import { expect, test } from "vitest";
import { compared } from "../../functions/drift/compare.ts";
import type { Look, Seen } from "../../shared/runbook/looking.ts";
import { IN_NO_VAULT } from "../../shared/vault/reference.ts";

const inVault = { vaultUrl: "https://contoso-kv.vault.azure.net", name: "loop-guid", version: "1" };

const differing = (seen: Pick<Seen, "kind" | "action"> & { paths?: string[]; loopGuid?: typeof inVault }) => {
  const { kind, action, paths = [], loopGuid } = seen;
  const changes = paths.map((path) => ({ path, from: "now", to: "wanted" }));
  const one: Seen = { kind, step: kind, action, changes, endsAfter: 0, wanted: loopGuid ? { loopGuid } : {} };
  const [difference] = compared({ seen: [one] } as unknown as Look, [
    { name: kind, title: kind, branch: "mailFlow" },
  ]).differences;
  return difference && [difference.repair, difference.reason];
};

test("rules with our own loop GUID are brought back by a repair", () => {
  for (const kind of ["approvalRule", "forwardingRule"] as const)
    expect(differing({ kind, action: "create", loopGuid: inVault })).toEqual(["repair", undefined]);
});

test("of a rule that a person made a repair brings back what isn't the loop GUID; what is, and what sends mail, a person does", () => {
  const approvalRule = { kind: "approvalRule", loopGuid: IN_NO_VAULT } as const;
  expect(differing({ ...approvalRule, action: "update", paths: ["fromScope"] })).toEqual(["repair", undefined]);
  const byHand = ["person", expect.stringMatching(/loop GUID.*by hand/)];
  expect(differing({ ...approvalRule, action: "create" })).toEqual(byHand);
  expect(differing({ ...approvalRule, action: "update", paths: ["fromScope", "loopGuid"] })).toEqual(byHand);
  expect(differing({ ...approvalRule, action: "update", paths: ["loopHeader"] })).toEqual(byHand);
  expect(differing({ kind: "forwardingRule", action: "update", paths: ["scope"], loopGuid: IN_NO_VAULT })).toEqual(byHand);
  expect(differing({ kind: "inboundConnector", action: "create" })).toEqual(["repair", undefined]);
});
