/** How stories knock at the simulators' own door, and how they wait for what comes of it. */
import { setTimeout as pause } from "node:timers/promises";
import { untilAnswered } from "../through-restarts.ts";

/** One request to the simulators' own door. */
export type Control = <Answer>(request: `${"GET" | "POST"} /${string}`, body?: object) => Promise<Answer>;

export const controlOf =
  (address: string): Control =>
  async <Answer>(request: string, body?: object) => {
    const [method = "GET", path = "/"] = request.split(" ");
    const response = await untilAnswered(() =>
      fetch(address + path, {
        method,
        ...(body ? { headers: { "content-type": "application/json" }, body: JSON.stringify(body) } : {}),
      }),
    );
    if (!response.ok) throw new Error(`the control door refused ${request}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Answer;
  };

/** Asks again and again until there is something. Throws after some minutes. */
export type Until = <Found>(what: string, look: () => Promise<Found | undefined>) => Promise<Found>;

const LOOK_EVERY_MILLISECONDS = 200;
const PATIENCE_IN_MILLISECONDS = 120_000;

/** @param data the platform's folder, which may say why nothing came */
export const untilIn =
  (data: string): Until =>
  async (what, look) => {
    for (const end = Date.now() + PATIENCE_IN_MILLISECONDS; Date.now() < end; await pause(LOOK_EVERY_MILLISECONDS)) {
      const found = await look();
      if (found !== undefined) return found;
    }
    throw new Error(`waited two minutes for ${what}; ${data}/logs/host.log may say why it didn't come`);
  };

/** Begins a line with the seconds since the story did. */
export const secondsSince = (began: number): string => `${((Date.now() - began) / 1000).toFixed(1).padStart(6)} s`;
