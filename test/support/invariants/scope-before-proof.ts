/** 1: nobody's mail beside the probe mailbox's is forwarded before STARTTLS, the loop, approval rule and inbound connector are proven. */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { approves, beyond, createObjects, enabled, forwards, type Known, type Objects } from "./objects.ts";
import { answered, type Cmdlet, cmdletsOf, probesShown, tookEffect, type Violation, type Watched, words } from "./record.ts";

export function scopeBeforeProof(record: Exchange[], watched: Watched): Violation[] {
  const { organization, probeMailbox } = watched;
  const cmdlets = cmdletsOf(record, organization);
  const rules = createObjects("TransportRule");
  const wide = (rule: Known): boolean => forwards(rule) && enabled(rule) && beyond(probeMailbox, rule);
  return cmdlets.flatMap((cmdlet): Violation[] => {
    const before = rules.all().filter(wide);
    const rule = rules.take(cmdlet);
    if (!rule || !wide(rule) || before.includes(rule)) return [];
    return unproven(record, cmdlets, cmdlet.seq, rules, watched).map((what) => ({
      invariant: 1,
      seq: cmdlet.seq,
      what: `the forwarding rule was widened before ${what}`,
    }));
  });
}

/** What wasn't proven when request `seq` was made. A proof older than the last change of what it proves is none. */
function unproven(
  record: Exchange[],
  cmdlets: Cmdlet[],
  seq: number,
  rules: Objects,
  { organization, probeMailbox }: Watched,
): string[] {
  const before = cmdlets.filter((one) => one.seq < seq);
  const lastWrite = (concerns: (cmdlet: Cmdlet) => boolean): number =>
    before.findLast((one) => tookEffect(one.exchange) && concerns(one))?.seq ?? Number.POSITIVE_INFINITY;
  const shownAfter = (at: number, cmdlet: string, shows: (value: Record<string, unknown>[]) => boolean): boolean =>
    before.some((one) => one.seq > at && one.name === cmdlet && answered(one.exchange) && shows(one.value));
  const writes = (noun: string) => (cmdlet: Cmdlet) => new RegExp(`^(New|Set)-${noun}$`).test(cmdlet.name);
  const approval = (cmdlet: Cmdlet): boolean => {
    const rule = rules.find(cmdlet.parameters["Identity"] ?? cmdlet.parameters["Name"]);
    return writes("TransportRule")(cmdlet) && rule !== undefined && approves(rule);
  };
  const proofs: [boolean, string][] = [
    [shownAfter(lastWrite(writes("OutboundConnector")), "Validate-OutboundConnector", validated), "STARTTLS to the gateway"],
    [
      record.some(
        (one) => one.seq < seq && one.tenant === organization && probesShown(one, probeMailbox).some(({ marked }) => marked),
      ),
      "a probe mail that came back",
    ],
    [
      shownAfter(lastWrite(writes("InboundConnector")), "Get-InboundConnector", (value) => value.length > 0),
      "the inbound connector read back",
    ],
    [
      shownAfter(lastWrite(approval), "Get-TransportRule", (value) => value.some(({ SetSCL }) => words(SetSCL).includes("-1"))),
      "the approval rule read back",
    ],
  ];
  return proofs.filter(([proven]) => !proven).map(([, what]) => what);
}

export const validated = (value: Record<string, unknown>[]): boolean =>
  value.length > 0 && value.every(({ IsTaskSuccessful, TlsUsed }) => IsTaskSuccessful === true && TlsUsed === true);
