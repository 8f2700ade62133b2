/** What is no longer as a plan has shown it, said so that a person sees what to look at. Pure. */
import { isDeepStrictEqual } from "node:util";
import type { Check, Finding, Plan, PlannedResource } from "../api/plan.ts";
import type { ErrorDetail } from "../errors.ts";
import type { KeptPlan } from "../stores/plans.ts";

export function differenceOf(earlier: KeptPlan, now: KeptPlan): ErrorDetail[] {
  return [
    ...changedFields(earlier.spec, now.spec),
    ...changedIn(resourcesOf(earlier.plan), resourcesOf(now.plan), "ResourceChanged", toldResource),
    ...changedIn(byCode(earlier.plan.checks), byCode(now.plan.checks), "CheckChanged", ({ status }) => status),
    ...changedIn(byCode(earlier.plan.findings), byCode(now.plan.findings), "FindingChanged", ({ message }) => message),
  ];
}

/** Of the spec: the outermost fields that differ. */
function changedFields(earlier: object, now: object): ErrorDetail[] {
  const [before, after] = [earlier, now].map((spec) => JSON.parse(JSON.stringify(spec)) as Record<string, unknown>);
  const fields = new Set([...Object.keys(before ?? {}), ...Object.keys(after ?? {})]);
  return [...fields]
    .filter((field) => !isDeepStrictEqual(before?.[field], after?.[field]))
    .map((field) => ({ code: "SpecChanged", target: field, message: "the tenant's spec is another one here" }));
}

/** A step that comes twice is told apart by its number. */
const resourcesOf = ({ resources }: Plan): Map<string, PlannedResource> => keyed(resources, ({ name }) => name);
const byCode = <Told extends Check | Finding>(told: Told[]): Map<string, Told> => keyed(told, ({ code }) => code);

function keyed<Told>(told: Told[], nameOf: (one: Told) => string): Map<string, Told> {
  const found = new Map<string, Told>();
  for (const one of told) {
    const name = nameOf(one);
    let key = name;
    for (let number = 2; found.has(key); number += 1) key = `${name} ${number}`;
    found.set(key, one);
  }
  return found;
}

function changedIn<Told>(
  earlier: Map<string, Told>,
  now: Map<string, Told>,
  code: string,
  told: (one: Told) => string,
): ErrorDetail[] {
  const said = (one: Told | undefined): string => (one === undefined ? "not there" : told(one));
  return [...new Set([...earlier.keys(), ...now.keys()])]
    .filter((key) => !isDeepStrictEqual(plain(earlier.get(key)), plain(now.get(key))))
    .map((key) => ({ code, target: key, message: `was: ${said(earlier.get(key))}; is: ${said(now.get(key))}` }));
}

/** What was kept has been through JSON. */
const plain = (value: unknown): unknown => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

const toldResource = ({ action, changes, reason }: PlannedResource): string =>
  [
    action,
    ...changes.map(({ path, from, to }) => `${path} from ${JSON.stringify(from ?? null)} to ${JSON.stringify(to ?? null)}`),
    ...(reason === undefined ? [] : [reason]),
  ].join(", ");
