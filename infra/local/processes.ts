/** The child processes of the local platform: started, watched until ready, restarted when they crash, stopped in order. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { join } from "node:path";

export interface ProcessOptions {
  name: string;
  /** Script and arguments for this Node. */
  command: string[];
  directory: string;
  environment?: Record<string, string>;
  /** Where `<name>.log` goes: everything that the process says. */
  logDirectory: string;
  /** Resolves when the process is ready, to what there is to know of it; it may listen to the lines that the process prints. */
  ready: (lines: Lines) => Promise<unknown>;
  stopSignal?: NodeJS.Signals;
  /** Starts it again when it ends by itself; Azure does the same with a worker. */
  restart?: (why: string) => void;
  restarted?: () => void;
}

/** Calls back with each line of standard output. */
export type Lines = (onLine: (line: string) => void) => void;

export interface RunningProcess<Ready> {
  readonly pid: number;
  ready: Ready;
  stop(): Promise<void>;
}

const READY_WITHIN_MILLISECONDS = 60_000;
const KILL_AFTER_MILLISECONDS = 15_000;

export async function startProcess<Ready>(options: ProcessOptions): Promise<RunningProcess<Ready>> {
  let stopping = false;
  let child = spawnOne(options);
  let ready = (await child.ready) as Ready;

  const watch = (): void => {
    child.process.once("exit", (code, signal) => {
      if (stopping || !options.restart) return;
      options.restart(signal ?? `exit code ${code}`);
      child = spawnOne(options);
      child.ready.then(
        (again) => {
          ready = again as Ready;
          watch();
          options.restarted?.();
        },
        (error: unknown) => options.restart?.(error instanceof Error ? error.message : String(error)),
      );
    });
  };
  watch();

  return {
    get pid() {
      return child.process.pid ?? 0;
    },
    get ready() {
      return ready;
    },
    stop: async () => {
      stopping = true;
      await stopChild(child.process, options.stopSignal ?? "SIGTERM");
    },
  };
}

function spawnOne({ name, command, directory, environment, logDirectory, ready }: ProcessOptions): {
  process: ChildProcess;
  ready: Promise<unknown>;
} {
  const log = createWriteStream(join(logDirectory, `${name}.log`), { flags: "a" });
  const child = spawn(process.execPath, command, {
    cwd: directory,
    env: { ...process.env, ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.stderr.pipe(log, { end: false });
  const listeners: ((line: string) => void)[] = [];
  let rest = "";
  child.stdout.on("data", (data: Buffer) => {
    const lines = (rest + data.toString()).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      for (const listener of listeners) listener(line);
      if (!line.includes('"ready":true')) log.write(`${line}\n`); // that line names the local clients' secrets
    }
  });
  const isReady = new Promise<unknown>((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${name} was not ready within a minute; see ${log.path}`)),
      READY_WITHIN_MILLISECONDS,
    );
    const settled =
      <Value>(settle: (value: Value) => void) =>
      (value: Value) => {
        clearTimeout(timer);
        settle(value);
      };
    child.once("exit", (code, signal) =>
      settled(reject)(new Error(`${name} ended with ${signal ?? `exit code ${code}`} before it was ready; see ${log.path}`)),
    );
    ready((onLine) => listeners.push(onLine)).then(settled(resolve), settled(reject));
  });
  isReady.catch(() => undefined); // whoever awaits it handles it; a crash during a restart must not end the platform
  return { process: child, ready: isReady };
}

const stopChild = (child: ChildProcess, signal: NodeJS.Signals): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    const timer = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_MILLISECONDS);
    child.once("exit", () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill(signal);
  });

/** For `ready`: a line of JSON with `"ready":true`, and what else it says. */
export const readyLine = () => (lines: Lines) =>
  new Promise<unknown>((resolve) => {
    lines((line) => {
      if (!line.startsWith("{")) return;
      try {
        const value: unknown = JSON.parse(line);
        if ((value as { ready?: boolean }).ready) resolve(value);
      } catch {
        // not the line that is waited for
      }
    });
  });
