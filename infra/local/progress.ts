/** What the person at the terminal sees: lines that stay and, while an operation runs, its steps; a live tree on a terminal. */
import type { Operation } from "../../shared/api/operation.ts";

export interface Screen {
  /** A line that stays. */
  say(line?: string): void;
  /** Shows how far an operation is; called again and again with the same one. */
  show(operation: Operation): void;
  /** Leaves the last picture standing. */
  finish(operation: Operation): void;
}

type Step = Operation["steps"][number];

const branches: Record<Step["branch"], string> = {
  access: "Access",
  root: "Root",
  gateway: "Gateway",
  directory: "Directory",
  mailFlow: "Mail flow",
  proof: "Proof",
};
const marks: Record<Step["status"], string> = { Pending: "·", Running: "…", Succeeded: "✓", Failed: "✗", Skipped: "–" };

export const createScreen = (output: NodeJS.WriteStream): Screen => (output.isTTY ? liveTree(output) : plainLines(output));

/** A line a change, as files and pipes like it. */
function plainLines(output: NodeJS.WriteStream): Screen {
  const shown = new Map<string, Step["status"]>();
  let waiting: string | undefined;
  const show = ({ id, steps, waitingFor }: Operation): void => {
    for (const step of steps) {
      const key = `${id} ${step.name}`;
      if (shown.get(key) === step.status) continue;
      shown.set(key, step.status);
      if (step.status === "Pending" || step.status === "Running") continue;
      output.write(`  ${marks[step.status]} ${branches[step.branch].padEnd(10)} ${lineOf(step)}\n`);
    }
    if (waitingFor && waitingFor.message !== waiting) output.write(`  … ${waitingFor.message}\n`);
    waiting = waitingFor?.message;
  };
  return { say: (line = "") => void output.write(`${line}\n`), show, finish: show };
}

const ERASE_BELOW = "\u001B[0J";
const up = (rows: number): string => (rows > 0 ? `\r\u001B[${rows}A` : "");

/** Redraws in place. What stands there is never higher than the terminal, because what has scrolled away can't be redrawn. */
function liveTree(output: NodeJS.WriteStream): Screen {
  let standing: string[] = [];
  // A terminal of unknown size says 0.
  const columns = (): number => output.columns || 80;
  const rows = (): number => output.rows || 24;
  /** A terminal that became narrower has wrapped what stood there. */
  const clear = (): string =>
    up(standing.reduce((sum, line) => sum + Math.max(1, Math.ceil(line.length / columns())), 0)) + ERASE_BELOW;
  const draw = (lines: string[]): void => {
    const next = lines.map((line) => cut(line, columns() - 1));
    if (next.join("\n") === standing.join("\n")) return;
    output.write(`${standing.length > 0 ? clear() : ""}${next.map((line) => `${line}\n`).join("")}`);
    standing = next;
  };
  const leave = (text: string): void => {
    output.write(`${standing.length > 0 ? clear() : ""}${text}`);
    standing = [];
  };
  return {
    say: (line = "") => {
      const picture = standing;
      leave(`${line}\n`);
      draw(picture);
    },
    show: (operation) => draw([...fitting(operation.steps, rows() - 2), statusLine(operation)]),
    finish: ({ steps }) => leave(`${wholeTree(steps).join("\n")}\n`),
  };
}

const cut = (line: string, width: number): string => (line.length > width ? `${line.slice(0, Math.max(width - 1, 0))}…` : line);

function statusLine({ percentComplete, createdAt, waitingFor }: Operation): string {
  const elapsed = Math.max(0, Math.floor((Date.now() - Date.parse(createdAt)) / 1000));
  return `  ${percentComplete} %, ${elapsed} s${waitingFor ? `: ${waitingFor.message}` : ""}`;
}

/** As much of the tree as there is room for: first the branches fold in which nothing happens, then those in which something does. */
function fitting(steps: Step[], room: number): string[] {
  const groups = grouped(steps);
  const idle = (group: Step[]): boolean => new Set(group.map(({ status }) => settled(status))).size === 1;
  const folds = [() => false, (group: Step[]) => idle(group) && settled(group[0]?.status ?? "Pending") !== "Running", () => true];
  for (const fold of folds) {
    const lines = groups.flatMap((group) => (fold(group) ? [headOf(group)] : [headOf(group), ...group.map(stepLine)]));
    if (lines.length <= room) return lines;
  }
  return groups.map(headOf).slice(-Math.max(room, 1));
}

const wholeTree = (steps: Step[]): string[] => grouped(steps).flatMap((group) => [headOf(group), ...group.map(stepLine)]);

const grouped = (steps: Step[]): Step[][] => [...Map.groupBy(steps, ({ branch }) => branch).values()];

const stepLine = (step: Step): string => `      ${marks[step.status]} ${lineOf(step)}`;

function headOf(group: Step[]): string {
  const title = branches[group[0]?.branch ?? "access"];
  const statuses = group.map(({ status }) => settled(status));
  const done = statuses.filter((status) => status === "Succeeded").length;
  const status =
    (["Failed", "Running"] as const).find((one) => statuses.includes(one)) ??
    (done === group.length ? "Succeeded" : done > 0 ? "Running" : "Pending");
  return `  ${marks[status]} ${title.padEnd(10)} ${done}/${group.length}`;
}

const settled = (status: Step["status"]): Step["status"] => (status === "Skipped" ? "Succeeded" : status);

function lineOf({ title, status, change, tries, startedAt, endedAt }: Step): string {
  if (status === "Pending" || status === "Running") return title;
  const notes = [
    ...(status === "Skipped" ? ["not needed"] : []),
    ...(change ? [change] : []),
    ...(startedAt && endedAt ? durationOf(Date.parse(endedAt) - Date.parse(startedAt)) : []),
    ...(tries > 2 ? [`${tries} tries`] : []),
  ];
  return notes.length > 0 ? `${title} (${notes.join(", ")})` : title;
}

/** Nothing for what took no time to speak of. */
function durationOf(milliseconds: number): string[] {
  if (milliseconds < 100) return [];
  if (milliseconds < 59_950) return [`${(milliseconds / 1000).toFixed(1)} s`];
  const seconds = Math.round(milliseconds / 1000);
  return [`${Math.floor(seconds / 60)} min ${seconds % 60} s`];
}
