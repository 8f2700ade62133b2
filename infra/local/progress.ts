/** Shows an operation while it runs: a live tree on a terminal, a line a change elsewhere. */
import type { Operation } from "../../shared/api/operation.ts";

const branches: Record<string, string> = {
  access: "Access",
  root: "Root",
  gateway: "Gateway",
  directory: "Directory",
  mailFlow: "Mail flow",
  proof: "Proof",
};
const marks: Record<Step["status"], string> = { Pending: "·", Running: "…", Succeeded: "✓", Failed: "✗", Skipped: "–" };

type Step = Operation["steps"][number];

export interface Progress {
  show(operation: Operation): void;
  /** Leaves the last picture standing. */
  end(): void;
}

export const createProgress = (output: NodeJS.WriteStream): Progress => (output.isTTY ? liveTree(output) : plainLines(output));

function plainLines(output: NodeJS.WriteStream): Progress {
  const shown = new Map<string, string>();
  let waiting: string | undefined;
  return {
    show: ({ steps, waitingFor }) => {
      for (const step of steps) {
        if (step.status === "Pending" || shown.get(step.name) === step.status) continue;
        shown.set(step.name, step.status);
        if (step.status !== "Running")
          output.write(`  ${marks[step.status]} ${(branches[step.branch] ?? step.branch).padEnd(10)} ${lineOf(step)}\n`);
      }
      if (waitingFor && waitingFor.message !== waiting) output.write(`  … ${waitingFor.message}\n`);
      waiting = waitingFor?.message;
    },
    end: () => undefined,
  };
}

function liveTree(output: NodeJS.WriteStream): Progress {
  let height = 0;
  return {
    show: ({ steps, waitingFor, percentComplete }) => {
      const lines: string[] = [];
      let branch = "";
      for (const step of steps) {
        if (step.branch !== branch) lines.push(`  ${branches[step.branch] ?? step.branch}`);
        branch = step.branch;
        lines.push(`    ${marks[step.status]} ${lineOf(step)}`);
      }
      lines.push(`  ${percentComplete} %${waitingFor ? `  ${waitingFor.message}` : ""}`);
      const width = output.columns;
      output.write(
        `${height > 0 ? `\u001B[${height}A\u001B[0J` : ""}${lines.map((line) => line.slice(0, width - 1)).join("\n")}\n`,
      );
      height = lines.length;
    },
    end: () => {
      height = 0;
    },
  };
}

const lineOf = ({ title, status, change, tries, startedAt, endedAt, error }: Step): string => {
  if (status === "Pending" || status === "Running") return title;
  const notes = [
    ...(change ? [change] : []),
    ...(startedAt && endedAt ? [`${((Date.parse(endedAt) - Date.parse(startedAt)) / 1000).toFixed(1)} s`] : []),
    ...(tries > 2 ? [`${tries} tries`] : []),
  ];
  return `${title}${notes.length > 0 ? ` (${notes.join(", ")})` : ""}${error && status === "Failed" ? `\n      ${error.code}: ${error.message}` : ""}`;
};
