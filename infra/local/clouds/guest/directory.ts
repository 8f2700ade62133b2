/** What directory.ps1 does on a simulated machine: fetches the tenant's directory, a piece at a time, and puts it in its place whole. */
import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import * as z from "zod";
import { keyOf } from "../arm/estate.ts";
import type { Platform } from "../simulator.ts";
import { startTask } from "./tasks.ts";

const PIECE_LENGTH = 4 * 1024 * 1024;

const settingsSchema = z.object({ url: z.string(), audience: z.string(), identityClientId: z.string(), file: z.string() });

export type Get = (url: string, init: { method: "GET"; headers: Record<string, string> }) => Promise<Response>;

export function startDirectories(platform: Platform, get: Get = globalThis.fetch): { stop(): void } {
  return startTask(platform, {
    task: "Directory",
    script: "directory",
    version: 1,
    settings: settingsSchema,
    run: async ({ estate, guest, token: tokenFor }, settings) => {
      const told = { method: "DIRECTORY", url: settings.url };
      const token = await tokenFor(settings);
      if (token === undefined) return platform.note("arm", { ...told, status: 400 });
      const place = settings.file.toLowerCase();
      const known = guest.files[place]?.text;
      const fetched = await fetchDocument(get, settings.url, token, known === undefined ? undefined : etagOf(known));
      platform.note("arm", { ...told, status: fetched.status });
      const text = fetched.packed && unpacked(fetched.packed);
      // What is not what was promised never takes the place of what is there.
      if (text === undefined || etagOf(text) !== fetched.etag) return;
      const now = estate.guests.get(keyOf(guest.virtualMachineId)) ?? guest;
      const file = { path: settings.file, text, writtenAt: platform.now() };
      estate.guests.set(keyOf(guest.virtualMachineId), { ...now, files: { ...now.files, [place]: file } });
    },
  });
}

async function fetchDocument(
  get: Get,
  url: string,
  token: string,
  known: string | undefined,
): Promise<{ status: number; packed?: Buffer; etag?: string | undefined }> {
  let packed = Buffer.alloc(0);
  let etag: string | undefined;
  for (let total = 1; packed.length < total; ) {
    const range = `bytes=${packed.length}-${packed.length + PIECE_LENGTH - 1}`;
    const headers = { authorization: `Bearer ${token}`, range, ...(known === undefined ? {} : { "if-none-match": known }) };
    const response = await get(url, { method: "GET", headers }).catch(() => undefined);
    const piece = Buffer.from((await response?.arrayBuffer().catch(() => undefined)) ?? new ArrayBuffer(0));
    const answered = response?.headers.get("etag") ?? undefined;
    const other = etag !== undefined && etag !== answered;
    if (response?.status !== 206 || piece.length === 0 || other) return { status: response?.status ?? 502 };
    etag = answered;
    packed = Buffer.concat([packed, piece]);
    total = Number(response.headers.get("content-range")?.split("/")[1]);
  }
  return { status: 206, packed, etag };
}

function unpacked(packed: Buffer): string | undefined {
  try {
    return gunzipSync(packed).toString("utf8");
  } catch {
    return undefined;
  }
}

const etagOf = (text: string): string =>
  `"${Buffer.from(createHash("sha256").update(text).digest("hex")).toString("base64url")}"`;
