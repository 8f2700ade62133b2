/** The child processes of the local platform: started, watched until ready, started again when they crash, stopped. */
import { type ChildProcess, spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";

export interface ProcessOptions<Ready> {
  name: string;
  /** Script and arguments for this Node. */
  command: string[];
  directory: string;
  environment?: Record<string, string>;
  /** Where `<name>.log` goes: everything that the process says. */
  logDirectory: string;
  /** Resolves when the process is ready, to what there is to know of it. */
  ready: (process: { onLine: OnLine; ended: AbortSignal }) => Promise<Ready>;
  /** Asks it to end; by default SIGTERM. */
  stopSignal?: "SIGINT" | "SIGTERM";
  /** It ended by itself, and is started again; Azure does the same with a worker. */
  onCrash: (why: string) => void;
  /** It is there again, with another process id. */
  onRestart: () => void;
  /** It crashed at each start, several times over. */
  onGivenUp: (error: Error) => void;
}

/** Calls back with each line of standard output. */
export type OnLine = (listener: (line: string) => void) => void;

export interface RunningProcess<Ready> {
  /** Of the newest start. */
  readonly pid: number;
  /** Rejects when the first start fails; the message has the last lines of its log. */
  readonly ready: Promise<Ready>;
  stop(): Promise<void>;
}

/** Node keeps what it compiled there: a second start takes two thirds of the first one's work. */
export const compileCache = fileURLToPath(new URL("../../node_modules/.cache/compile", import.meta.url));

const READY_WITHIN_SECONDS = 120;
const KILL_AFTER_SECONDS = 15;
const MOST_RESTARTS = 5;
const LOG_LINES_SHOWN = 12;

/** Starts it, and keeps it running until `stop`. A first start that fails is not repeated: whoever awaits `ready` is told at once. */
export function startProcess<Ready>(options: ProcessOptions<Ready>): RunningProcess<Ready> {
  const { name, stopSignal = "SIGTERM", onCrash, onRestart, onGivenUp } = options;
  const stopped = new AbortController();
  let life = spawnOne(options);
  const { ready } = life;

  const supervise = async (): Promise<void> => {
    await ready;
    for (;;) {
      const why = await life.ended;
      if (stopped.signal.aborted) return;
      onCrash(why);
      if (!(await startAgain())) return;
      onRestart();
    }
  };
  const startAgain = async (): Promise<boolean> => {
    for (let attempt = 1; ; attempt++) {
      life = spawnOne(options);
      try {
        await life.ready;
        return true;
      } catch (error) {
        if (stopped.signal.aborted) return false;
        if (attempt === MOST_RESTARTS) {
          onGivenUp(
            new Error(`${name} could not be started again in ${MOST_RESTARTS} tries: ${messageOf(error)}`, { cause: error }),
          );
          return false;
        }
        await pause(attempt * 200, undefined, { signal: stopped.signal }).catch(() => undefined);
        if (stopped.signal.aborted) return false;
      }
    }
  };
  // Only a first start that fails gets here, and whoever awaits `ready` tells of it.
  supervise().catch(() => undefined);

  return {
    get pid() {
      return life.process.pid ?? 0;
    },
    ready,
    stop: async () => {
      stopped.abort();
      await end(life, stopSignal);
    },
  };
}

interface Life<Ready> {
  process: ChildProcess;
  ready: Promise<Ready>;
  /** Why it ended. */
  ended: Promise<string>;
}

function spawnOne<Ready>({
  name,
  command,
  directory,
  environment,
  logDirectory,
  ready,
  stopSignal,
}: ProcessOptions<Ready>): Life<Ready> {
  const logFile = join(logDirectory, `${name}.log`);
  const log = createWriteStream(logFile, { flags: "a" });
  const preload = new URL(`./end-with-parent.ts?signal=${stopSignal === "SIGINT" ? "SIGINT" : "SIGKILL"}`, import.meta.url);
  const child = spawn(process.execPath, ["--import", preload.href, ...command], {
    cwd: directory,
    env: { NODE_COMPILE_CACHE: compileCache, ...process.env, ...environment },
    // The channel's end tells the child that we are gone.
    stdio: ["ignore", "pipe", "pipe", "ipc"],
    // A group of its own: Ctrl+C in the terminal reaches us only, and we stop the children in order.
    detached: true,
  });
  const lastLines: string[] = [];
  const write = (line: string): void => {
    log.write(`${line}\n`);
    lastLines.push(line);
    if (lastLines.length > LOG_LINES_SHOWN) lastLines.shift();
  };
  const listeners: ((line: string) => void)[] = [];
  // The ready line names the local clients' secrets.
  eachLine(child.stdout, (line) => {
    for (const listener of listeners) listener(line);
    if (!line.includes('"ready":true')) write(line);
  });
  eachLine(child.stderr, write);

  const ended = new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(signal ?? `exit code ${code}`));
  });
  const over = new AbortController();
  const failed = (why: string): Error =>
    new Error(
      [`${name} ${why}; ${lastLines.length > 0 ? `the last lines of ${logFile}` : `${logFile} is empty`}`, ...lastLines].join(
        "\n  ",
      ),
    );
  const isReady = new Promise<Ready>((resolve, reject) => {
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      reject(failed(`was not ready within ${READY_WITHIN_SECONDS} s`));
    }, READY_WITHIN_SECONDS * 1000);
    void ended.then((why) => {
      clearTimeout(timer);
      // Whoever is told reads the log next: it is written by then.
      log.end(() => {
        reject(failed(`ended (${why}) before it was ready`));
        over.abort();
      });
    });
    ready({ onLine: (listener) => listeners.push(listener), ended: over.signal }).then((value) => {
      clearTimeout(timer);
      resolve(value);
    }, reject);
  });
  isReady.catch(() => undefined); // whoever awaits it handles it; until then a failure must not end the platform
  return { process: child, ready: isReady, ended };
}

function eachLine(stream: NodeJS.ReadableStream | null, onLine: (line: string) => void): void {
  let rest = "";
  stream?.setEncoding("utf8");
  stream?.on("data", (data: string) => {
    const lines = (rest + data).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
  stream?.on("end", () => {
    if (rest !== "") onLine(rest);
  });
}

async function end({ process: child, ended }: Life<unknown>, signal: NodeJS.Signals): Promise<void> {
  const timer = setTimeout(() => child.kill("SIGKILL"), KILL_AFTER_SECONDS * 1000);
  child.kill(signal);
  await ended;
  clearTimeout(timer);
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** For `ready`: a line of JSON with `"ready":true`, and what else it says. */
export const readyLine =
  <Ready>() =>
  ({ onLine }: { onLine: OnLine }): Promise<Ready> =>
    new Promise((resolve) => {
      onLine((line) => {
        if (!line.startsWith("{")) return;
        try {
          const value: unknown = JSON.parse(line);
          if ((value as { ready?: boolean }).ready) resolve(value as Ready);
        } catch {
          // not the line that is waited for
        }
      });
    });
