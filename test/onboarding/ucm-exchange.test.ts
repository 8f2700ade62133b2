/** Itrezzo UCM's service account: its mailbox in Exchange Online, and the scripts and reports of an Exchange on the customer's premises. */
import { createHmac } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Node, Tree } from "web-tree-sitter";
import { onlineChecks, premisesChecks } from "../../functions/onboarding/ucm-exchange.ts";
import type { Check } from "../../shared/api/plan.ts";
import { createCredentials } from "../../shared/entra/credentials.ts";
import { createExchange } from "../../shared/exchange/client.ts";
import { present } from "../../shared/resources/resource.ts";
import { parseReport } from "../../shared/ucm/report.ts";
import { checkScript, type PremisesVersion, setScript } from "../../shared/ucm/scripts.ts";
import { customer, type Customer, customerOf, type OnboardingPlatform, startOnboarding } from "../support/onboarding.ts";
import { unique } from "../support/stores.ts";
import { everyNode, grammar, syntaxErrors } from "../support/syntax-trees.ts";

const account = "CONTOSO\\svc-ucm'$(x)";
const versions: PremisesVersion[] = ["2010", "later"];
const whole = { account, url: "https://gatehouse.example/api/ucm-reports", state: "a.b-c_d", key: "k3y" };
const scripts = versions.flatMap((version) => [
  { name: `check, ${version}`, text: checkScript({ ...whole, version }) },
  { name: `set, ${version}`, text: setScript({ account, version }) },
]);

describe("the scripts", () => {
  const trees = new Map<string, Tree>();
  beforeAll(async () => {
    const parse = await grammar("powershell");
    for (const { name, text } of scripts) trees.set(name, parse(text));
  });
  const texts = (name: string, type: string): string[] => {
    const root: Node | undefined = trees.get(name)?.rootNode;
    return root ? [...everyNode(root)].filter((node) => node.type === type).map(({ text }) => text) : [];
  };

  test.each(scripts)(
    "$name: is PowerShell that can be read, plain ASCII, and has no word of the account in clear",
    ({ name, text }) => {
      const tree = trees.get(name);
      expect(tree === undefined ? ["missing"] : syntaxErrors(tree)).toEqual([]);
      expect(text.replaceAll("\n", "")).toMatch(/^[ -~]*$/);
      expect(text).not.toContain("svc-ucm");
      expect(text).not.toMatch(/Invoke-Expression|\biex\b|\[scriptblock\]/i);
    },
  );

  const reading = [
    "Add-Line",
    "ForEach-Object",
    "Get-ADPermission",
    "Get-Mailbox",
    "Get-MailboxDatabase",
    "Get-ManagementRoleAssignment",
    "Get-ThrottlingPolicy",
    "New-Object",
    "Set-StrictMode",
    "Where-Object",
    "Write-Host",
  ];
  test.each(versions)("the check script for %s only reads", (version) => {
    expect(texts(`check, ${version}`, "command_name").filter((name) => !reading.includes(name))).toEqual([]);
  });
  test.each(versions)("the set script for %s changes nothing but rights, the policy and the mailbox's policies", (version) => {
    const changing = [...new Set(texts(`set, ${version}`, "command_name"))].filter((name) => !reading.includes(name));
    const rights = version === "2010" ? "Add-ADPermission" : "New-ManagementRoleAssignment";
    expect(changing.toSorted()).toEqual(
      [rights, "New-ThrottlingPolicy", "Set-Mailbox", "Set-ThrottlingPolicy", "Write-Warning"].toSorted(),
    );
  });

  test("a value that could end a string is refused", () => {
    expect(() => checkScript({ ...whole, version: "later", state: "a'; Remove-Mailbox" })).toThrow(/don't belong there/);
  });
});

const statuses = (checks: Check[]): Record<string, string> =>
  Object.fromEntries(checks.map(({ code, status }) => [code, status]));
const ready2010 = `account=True\nmanagedServiceAccount=False\nmailbox=True\nmailboxType=UserMailbox\nretentionPolicy=\nlitigationHold=False
archive=False\nsenders=0\nthrottlingPolicy=itrezzoSvcPolicy\newsMaxConcurrency=\newsMaxSubscriptions=10000\ndatabases=3\ndatabasesGranted=3`;
const readyLater = ready2010
  .replace("ewsMaxConcurrency=", "ewsMaxConcurrency=Unlimited")
  .replace(/databases=3[\s\S]*/, "impersonation=True");
const allPass = { UcmServiceAccount: "pass", UcmMailboxKept: "pass", UcmImpersonation: "pass", UcmThrottling: "pass" };

test.each<[string, PremisesVersion, string, Record<string, string>]>([
  ["all there", "2010", ready2010, allPass],
  ["all there", "later", readyLater, allPass],
  ["a database without rights", "2010", ready2010.replace("Granted=3", "Granted=2"), { ...allPass, UcmImpersonation: "fail" }],
  [
    "no impersonation",
    "later",
    readyLater.replace("impersonation=True", "impersonation=False"),
    { ...allPass, UcmImpersonation: "fail" },
  ],
  [
    "a managed service account",
    "later",
    readyLater.replace("Account=False", "Account=True"),
    { ...allPass, UcmServiceAccount: "fail" },
  ],
  ["a shared mailbox", "later", readyLater.replace("UserMailbox", "SharedMailbox"), { ...allPass, UcmServiceAccount: "fail" }],
  ["retention", "later", readyLater.replace("Policy=\n", "Policy=Default MRM Policy\n"), { ...allPass, UcmMailboxKept: "fail" }],
  ["limits", "later", readyLater.replace("Unlimited", "27"), { ...allPass, UcmThrottling: "fail" }],
])("a report from the premises is judged: %s, Exchange %s", (_, version, lines, expected) => {
  expect(statuses(premisesChecks(account, version, parseReport(lines)))).toEqual(expected);
});

test("a report that never came, or is not a script's, is unknown", () => {
  expect(new Set(Object.values(statuses(premisesChecks(account, "later", undefined))))).toEqual(new Set(["unknown"]));
  expect(parseReport("hello")).toBeUndefined();
});

describe("over the wire", () => {
  let platform: OnboardingPlatform;
  let tenant: Customer;
  beforeAll(async () => {
    platform = await startOnboarding();
    const { tenantId, body } = customer("contoso", "litware");
    const ucm = { mailboxes: 120, serviceAccount: "CONTOSO\\svc-ucm", controllers: ["192.0.2.10"] };
    tenant = customerOf(tenantId, { ...body, ucm: { ...ucm, exchange: { kind: "onPremises", version: "later" } } });
    await platform.register(tenant);
  });
  afterAll(() => platform.stop());

  const scriptOf = async (): Promise<{ state: string; key: string }> => {
    const { checkScript: text } = (await platform.northwind.getUcm({ tenantId: tenant.tenantId })).body;
    const [, state = ""] = /\$state = '([^']+)'/.exec(text) ?? [];
    const [, key = ""] = /\$key = '([^']+)'/.exec(text) ?? [];
    return { state, key };
  };
  const signed = ({ state, key }: { state: string; key: string }, lines: string) => ({
    state,
    report: Buffer.from(lines).toString("base64"),
    signature: createHmac("sha256", key).update(lines).digest("hex"),
  });
  const post = async (body: unknown): Promise<{ status: number; text: string }> => {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${platform.url}/api/ucm-reports`, { method: "POST", headers, body: JSON.stringify(body) });
    return { status: response.status, text: await response.text() };
  };
  const reported = async () => (await platform.northwind.getUcm({ tenantId: tenant.tenantId })).body.report;
  const refusal = { status: 400, text: expect.stringContaining("nothing was changed") };

  test("a report that is forged, changed, of another script or late changes nothing; a genuine one counts, once", async () => {
    const script = await scriptOf();
    const other = await scriptOf();
    const genuine = signed(script, readyLater);
    expect(await post({ ...genuine, state: "a.b.c" })).toMatchObject(refusal);
    expect(await post({ ...genuine, signature: "0".repeat(64) })).toMatchObject(refusal);
    expect(await post({ ...genuine, report: Buffer.from(ready2010).toString("base64") })).toMatchObject(refusal);
    expect(await post({ ...genuine, state: other.state })).toMatchObject(refusal);
    expect(await post(signed(script, "hello"))).toMatchObject(refusal);
    const later = Date.now() + 8 * 24 * 3_600_000;
    const clock = vi.spyOn(Date, "now").mockReturnValue(later);
    expect(await post(genuine).finally(() => clock.mockRestore())).toMatchObject(refusal);
    expect(await reported()).toBeUndefined();

    expect((await post(genuine)).status).toBe(200);
    expect(statuses((await reported())?.checks ?? [])).toEqual(allPass);
    expect(await post(signed(script, readyLater.replace("Unlimited", "27")))).toMatchObject(refusal);
    expect(statuses((await reported())?.checks ?? [])).toEqual(allPass);
  });

  test("the task names what the last report lacks, and closes with one that lacks nothing", async () => {
    const other = customerOf(unique("adatum"), tenant.body);
    const { tenantId } = other;
    await platform.register(other);
    const taskOf = async () => (await platform.northwind.listTasks({ tenantId, kind: "ucmReport" })).body.value;
    const script = async () => {
      const { checkScript: text } = (await platform.northwind.getUcm({ tenantId })).body;
      const [, state = ""] = /\$state = '([^']+)'/.exec(text) ?? [];
      const [, key = ""] = /\$key = '([^']+)'/.exec(text) ?? [];
      return { state, key };
    };
    expect(await taskOf()).toEqual([]);
    await post(signed(await script(), readyLater.replace("Unlimited", "27")));
    const [task] = await taskOf();
    expect(task).toMatchObject({ state: "open", link: `${platform.url}/api/tenants/${tenantId}/ucm` });
    const early = platform.northwind.completeTask({ taskId: task?.id ?? "" });
    await expect(early).rejects.toMatchObject({ code: "TaskNotDone", message: expect.stringContaining("no throttling policy") });
    await post(signed(await script(), readyLater));
    expect(await taskOf()).toEqual([expect.objectContaining({ id: task?.id, state: "done" })]);
    expect((await platform.northwind.completeTask({ taskId: task?.id ?? "" })).body.state).toBe("done");
  });

  test("another partner gets no script, and a tenant without an Exchange on premises has none", async () => {
    await expect(platform.tailspin.getUcm({ tenantId: tenant.tenantId })).rejects.toMatchObject({ code: "TenantNotFound" });
    const plain = customer("contoso", "plain");
    await platform.register(plain);
    await expect(platform.northwind.getUcm({ tenantId: plain.tenantId })).rejects.toMatchObject({ code: "InvalidRequest" });
  });

  test("Exchange Online's own mailbox is looked at: kind, retention, holds and archive", async () => {
    const { microsoft365 } = tenant.spec;
    const [domain = ""] = microsoft365.domains;
    const mailbox = `svc-ucm@${domain}`;
    const shared = `shared@${domain}`;
    await platform.clouds.organize({
      tenantId: microsoft365.tenantId,
      domains: microsoft365.domains,
      mailboxes: [mailbox, shared],
      exchange: {
        mailboxes: {
          [mailbox]: { RetentionPolicy: null },
          [shared]: { RecipientTypeDetails: "SharedMailbox", LitigationHoldEnabled: true, ArchiveGuid: microsoft365.tenantId },
        },
      },
    });
    await platform.clouds.consent(microsoft365.tenantId);
    const { environment, application } = platform.clouds;
    const exchange = createExchange({ environment, credentials: createCredentials(environment, application) });
    const look = async (address: string): Promise<Check[]> => {
      // A role that was just given is not known to Exchange at the first looks.
      for (;;) {
        const seen = await exchange.get(microsoft365.tenantId, "Get-Mailbox", { Identity: address });
        if (seen.state !== "unknown") return onlineChecks(address, seen);
      }
    };
    const online = { ...allPass, UcmImpersonation: "unknown" };
    expect(statuses(await look(mailbox))).toEqual(online);
    const wrong = await look(shared);
    expect(statuses(wrong)).toEqual({ ...online, UcmServiceAccount: "fail", UcmMailboxKept: "fail" });
    expect(wrong.find(({ code }) => code === "UcmMailboxKept")?.message).toContain(
      "a retention policy, litigation hold, an archive",
    );
    expect(statuses(await look(`nobody@${domain}`))).toEqual({ ...online, UcmServiceAccount: "fail", UcmMailboxKept: "fail" });
    expect(statuses(onlineChecks(mailbox, present({ RecipientTypeDetails: "UserMailbox" })))).toEqual(online);
  });
});
