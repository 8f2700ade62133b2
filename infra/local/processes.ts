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
  /** Recognises the line of standard output that means ready; what it gives is what `start` resolves to. */
  ready: (line: string) => unknown;
  stopSignal?: NodeJS.Signals;
  /** Starts it again when it ends by itself; Azure does the same with a worker. */
  restart?: (why: string) => void;
  restarted?: () => void;
}

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
  const isReady = new Promise<unknown>((resolve, reject) => {
    let rest = "";
    const timer = setTimeout(
      () => reject(new Error(`${name} was not ready within a minute; see ${log.path}`)),
      READY_WITHIN_MILLISECONDS,
    );
    child.stdout.on("data", (data: Buffer) => {
      log.write(data);
      const lines = (rest + data.toString()).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) {
        const found = ready(line);
        if (found === undefined) continue;
        clearTimeout(timer);
        resolve(found);
      }
    });
    child.once("exit", (code, signal) => {
      clearTimeout(timer);
      reject(new Error(`${name} ended with ${signal ?? `exit code ${code}`} before it was ready; see ${log.path}`));
    });
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

/** For `ready`: a line of JSON with `"ready":true`. */
export const readyLine = (line: string): unknown => {
  if (!line.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(line);
    return (value as { ready?: boolean }).ready ? value : undefined;
  } catch {
    return undefined;
  }
};
