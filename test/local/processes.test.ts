/** Child processes: what crashes is started again, what can't be started says why, and nothing outlives its parent. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { expect, test, vi } from "vitest";
import { readyLine, startProcess } from "../../infra/local/processes.ts";
import { alive, withFolder } from "../support/command.ts";

vi.setConfig({ testTimeout: 120_000 });

/** Ready at once while the file "fine" is there; without it, it says what is wrong and ends. */
const program = `
import { existsSync } from "node:fs";
if (!existsSync("fine")) {
  console.error("the file is missing");
  process.exit(3);
}
console.log(JSON.stringify({ ready: true, answer: 42 }));
setInterval(() => undefined, 1000);
`;

async function withProgram(run: (folder: string, start: typeof started) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    writeFileSync(join(folder, "program.mjs"), program);
    writeFileSync(join(folder, "fine"), "");
    await run(folder, started);
  });
}

function started(folder: string) {
  const events: string[] = [];
  const restarted = Promise.withResolvers<void>();
  const givenUp = Promise.withResolvers<Error>();
  const running = startProcess({
    name: "program",
    command: [join(folder, "program.mjs")],
    directory: folder,
    logDirectory: folder,
    ready: readyLine<{ answer: number }>(),
    onCrash: (why) => void events.push(`crashed: ${why}`),
    onRestart: () => {
      events.push("restarted");
      restarted.resolve();
    },
    onGivenUp: givenUp.resolve,
  });
  return { running, events, restarted: restarted.promise, givenUp: givenUp.promise };
}

test("a process that crashes is started again, and ends when it is stopped", () =>
  withProgram(async (folder, start) => {
    const { running, events, restarted } = start(folder);
    expect(await running.ready).toMatchObject({ answer: 42 });
    const first = running.pid;
    process.kill(first, "SIGKILL");
    await restarted;
    const second = running.pid;
    expect(second).not.toBe(first);
    expect(events).toEqual(["crashed: SIGKILL", "restarted"]);
    await running.stop();
    expect(alive(second)).toBe(false);
    expect(events).toHaveLength(2);
  }));

test("a process that fails at its first start is not repeated, and says its log's last lines", () =>
  withProgram(async (folder, start) => {
    rmSync(join(folder, "fine"));
    const { running, events } = start(folder);
    const log = join(folder, "program.log");
    await expect(running.ready).rejects.toThrow(
      `program ended (exit code 3) before it was ready; the last lines of ${log}\n  the file is missing`,
    );
    expect(readFileSync(log, "utf8")).toBe("the file is missing\n");
    expect(events).toEqual([]);
    await running.stop();
  }));

test("a process that crashes at each start is given up after five, with its log's last lines", () =>
  withProgram(async (folder, start) => {
    const { running, events, givenUp } = start(folder);
    await running.ready;
    rmSync(join(folder, "fine"));
    process.kill(running.pid, "SIGKILL");
    const { message } = await givenUp;
    expect(message).toMatch(/^program could not be started again in 5 tries: .*\n {2}the file is missing$/u);
    // The file is written behind the process's back.
    await expect.poll(() => readFileSync(join(folder, "program.log"), "utf8").trim().split("\n")).toHaveLength(5);
    expect(events).toEqual(["crashed: SIGKILL"]);
  }));

test("a process ends when its parent is killed", () =>
  withProgram(async (folder) => {
    const parent = join(folder, "parent.mjs");
    const processes = new URL("../../infra/local/processes.ts", import.meta.url).href;
    const options = { name: "program", command: [join(folder, "program.mjs")], directory: folder, logDirectory: folder };
    writeFileSync(
      parent,
      `import { readyLine, startProcess } from ${JSON.stringify(processes)};
       const running = startProcess({ ...${JSON.stringify(options)}, ready: readyLine(), onCrash() {}, onRestart() {}, onGivenUp() {} });
       await running.ready;
       console.log(running.pid);`,
    );
    const child = spawn(process.execPath, [parent], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    expect(alive(Number(line))).toBe(true);
    child.kill("SIGKILL");
    while (alive(Number(line))) await pause(20);
  }));
