/**
 * What a person should know before onboarding, or see to after it: what costs more, what is decided for good, and what would stop a
 * machine. None of it stops an onboarding.
 */
import type { Finding, PlannedResource } from "../../shared/api/plan.ts";
import type { Azure } from "../../shared/azure/client.ts";
import { sameId, virtualMachineId } from "../../shared/azure/place.ts";
import { shutdownsIn } from "../../shared/azure/shutdown-schedules.ts";
import { namedSecrets } from "../../shared/desired/iq-suite.ts";
import { home } from "../../shared/desired/state.ts";
import type { Target } from "../../shared/desired/target.ts";
import type { TenantRecord } from "../../shared/stores/tenants.ts";
import type { TenantSpec } from "../../shared/tenants/spec.ts";

export async function warningsOf(azure: Azure, target: Target, planned: PlannedResource[]): Promise<Finding[]> {
  const machines = planned.filter(({ kind }) => kind === "gatewayVm");
  const some = (...actions: PlannedResource["action"][]): boolean => machines.some(({ action }) => actions.includes(action));
  return [
    ...(some("create")
      ? [
          ...costs(target.spec.gateway),
          forGood(target.spec.gateway),
          ...ucmConsole(target.spec),
          ...secretsExpected(target),
          ...transcriptRemoved(target.spec.gateway),
          ...synchronizationUser(target.spec),
        ]
      : []),
    ...(some("none", "update") ? await shutdowns(azure, target) : []),
  ];
}

/** Mission D1: what the last try to make a client secret has met. Nobody may read a tenant's policies by the permissions that we have. */
export const secretsForbidden = ({ conditions }: Pick<TenantRecord, "conditions">): Finding[] =>
  conditions.flatMap(({ status, reason, message }) =>
    status === "False" && (reason === "ClientSecretForbidden" || reason === "ClientSecretLifetimeForbidden")
      ? [{ code: reason, severity: "error" as const, message, remedy: "change the policy for the application, or exempt it" }]
      : [],
  );

/** Mission A4: of the kinds of disks, those that aren't the cheapest for what they do. */
const dearerDisks: Partial<Record<TenantSpec["gateway"]["disk"], string>> = {
  Premium_LRS: "premium disks cost more than standard SSDs",
  Premium_ZRS: "premium disks cost more than standard SSDs, and more again for being kept in three zones",
  StandardSSD_ZRS: "disks that are kept in three zones cost more than those in one",
};

function costs({ disk, monitoring }: TenantSpec["gateway"]): Finding[] {
  const dearer = dearerDisks[disk];
  return [
    ...(dearer === undefined
      ? []
      : [
          {
            code: "DiskCostsMore",
            severity: "information" as const,
            message: `each machine gets a disk of the kind ${disk}: ${dearer}`,
            remedy:
              "keep it where mail must pass quickly or outlive a zone; else name another gateway.disk now, it is fixed later",
          },
        ]),
    ...(monitoring === undefined
      ? []
      : [
          {
            code: "MonitoringCosts",
            severity: "information" as const,
            message: "the customer's workspace is billed by what it takes in and keeps",
            remedy: "set a daily cap on the workspace, or leave gateway.monitoring out",
          },
        ]),
  ];
}

/** Mission A1, A3, A4, A10: said once, while nothing of it stands. */
const forGood = ({ regions, placement, disk, image }: TenantSpec["gateway"]): Finding => ({
  code: "FixedOnceMade",
  severity: "warning",
  message: `decided for good when it is made: names and regions (${regions.map(({ name }) => name).join(", ")}), and of each machine its place (${placement}), its disk (${disk}), its image (${[image.publisher, image.offer, image.sku].join(":")})${image.plan === undefined ? "" : " and its plan"}`,
  remedy: "look at gateway.regions, placement, disk and image once more; later they change only by replacing what stands",
});

/** Mission E4. */
const ucmConsole = ({ ucm }: TenantSpec): Finding[] =>
  ucm === undefined
    ? []
    : [
        {
          code: "UcmConsoleNeedsLegacyBrowser",
          severity: "warning",
          message:
            "UCM's web administration needs Internet Explorer and Silverlight; Windows Server 2019 is the last that the product runs on, and Microsoft ended Silverlight in 2021",
          remedy:
            "ask the product's maker for a web administration without Silverlight, or install Silverlight on the server yourself",
        },
      ];

/** Their owner has to put them there, into a vault that the onboarding makes. */
function secretsExpected({ spec, names }: Target): Finding[] {
  const expected = namedSecrets(spec);
  if (expected.length === 0) return [];
  return [
    {
      code: "SecretsExpected",
      severity: "warning",
      message: `the vault ${names.vault} has to hold ${expected.join(", ")} before machines are built; the first onboarding makes the vault, and ends there while one is missing`,
      remedy: "have each put into the vault by its owner, then onboard again",
    },
  ];
}

/** Mission D4: the user of the product's own export is a person's to make (ADR 0019). */
const synchronizationUser = ({ gateway: { iqSuite } }: Pick<TenantSpec, "gateway">): Finding[] =>
  iqSuite?.ldifGenerator === undefined
    ? []
    : [
        {
          code: "SynchronizationUserByHand",
          severity: "warning",
          message: `the LDIF generator signs in as ${iqSuite.ldifGenerator.synchronizationUser.user}, a user that somebody has to make: without a licence, signed in once, in a role group of its own in Exchange, and exempt from multi-factor authentication`,
          remedy:
            "have an administrator of the customer make it, or leave gateway.iqSuite.ldifGenerator out and name directory.file, which needs no user",
        },
      ];

/** Mission B6: what nobody has saved is gone then. */
const transcriptRemoved = ({ iqSuite }: TenantSpec["gateway"]): Finding[] =>
  iqSuite?.automatedSetUp?.removeTranscript === true
    ? [
        {
          code: "TranscriptRemoved",
          severity: "warning",
          message:
            "the image's set-up makes passwords for SQL Server, remoting and its SQL user; its transcript, the only place where they stand in clear, is removed once it has ended",
          remedy:
            "be ready to change these passwords on the machine (gateway.iqSuite.automatedSetUp.sqlServer changes the first), or leave gateway.iqSuite.automatedSetUp.removeTranscript out",
        },
      ]
    : [];

/** Mission A7: a schedule that stops a gateway every day stops its mail. Somebody made it: it is told, not taken away. */
async function shutdowns(azure: Azure, target: Target): Promise<Finding[]> {
  const subscription = home(target);
  const machines = machinesIn(target);
  const groups = [...new Set(machines.map(({ resourceGroup }) => resourceGroup))];
  const found = await Promise.all(groups.map((group) => shutdownsIn(azure, subscription, group)));
  const unread = found.find((one) => one.state === "unknown");
  const scheduled = found
    .flatMap((one) => (one.state === "present" ? one.actual : []))
    .flatMap(({ schedule, machineId, time }): Finding[] => {
      const machine = machines.find((one) => sameId(machineId, virtualMachineId({ ...subscription, ...one })));
      if (machine === undefined) return [];
      const { resourceGroup, name } = machine;
      return [
        {
          code: "ShutdownScheduled",
          severity: "warning",
          message: `the schedule ${schedule} in ${resourceGroup} stops ${name} every day at ${time}, and mail with it`,
          remedy: `switch Auto-shutdown off on the machine's page in the portal, or: az vm auto-shutdown -g ${resourceGroup} -n ${name} --off`,
        },
      ];
    });
  if (unread === undefined) return scheduled;
  const { code, message } = unread.reason;
  return [
    ...scheduled,
    {
      code: "ShutdownUnknown",
      severity: "information",
      message: `whether a schedule stops a machine every day could not be read: ${code}: ${message}`,
      remedy: "plan again later",
    },
  ];
}

/** Gateways, and the machines beside them. */
const machinesIn = ({ names: { regions, roles, home } }: Target): { resourceGroup: string; name: string }[] => [
  ...regions.flatMap(({ resourceGroup, machines }) => machines.map(({ virtualMachine: name }) => ({ resourceGroup, name }))),
  ...Object.values(roles ?? {}).map(({ virtualMachine: name }) => ({ resourceGroup: home.resourceGroup, name })),
];
