/** The host's log: entries go to a sink, by default one line each on standard error. */

export type LogLevel = "trace" | "debug" | "information" | "warning" | "error" | "critical" | "none";

export interface LogEntry {
  level: LogLevel;
  /** As in Azure: `Host.…`, `Function.<name>` for the host's words about a function, `Function.<name>.User` for the function's own. */
  category: string;
  message: string;
  functionName?: string;
  invocationId?: string;
}

export type Log = (entry: LogEntry) => void;

const LEVELS: LogLevel[] = ["trace", "debug", "information", "warning", "error", "critical", "none"];

/** Lets through what host.json's `logging.logLevel` asks for: the longest matching category decides, `default` otherwise. */
export function filterLog(log: Log, levels: Record<string, string>): Log {
  const categories = Object.keys(levels)
    .filter((category) => category !== "default")
    .toSorted((a, b) => b.length - a.length);
  const rank = (level: string): number => LEVELS.indexOf(level.toLowerCase() as LogLevel);
  return (entry) => {
    const category = categories.find((prefix) => entry.category.startsWith(prefix)) ?? "default";
    if (rank(entry.level) >= rank(levels[category] ?? "information")) log(entry);
  };
}

export const logToStandardError: Log = ({ level, category, message }) => {
  process.stderr.write(`${new Date().toISOString()} ${level.padEnd(11)} ${category}: ${message}\n`);
};
