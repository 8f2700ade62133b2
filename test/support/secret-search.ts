/** Looks for secrets in whatever was stored, logged, recorded or shown, in whatever encoding. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { gunzipSync } from "node:zlib";
import { TableClient, TableServiceClient } from "@azure/data-tables";
import { BlobServiceClient } from "@azure/storage-blob";
import { ownAccount } from "./own-account.ts";

/** A text in the encodings in which texts travel; the last three at each of the three offsets that base64 can begin at. */
export function formsOf(text: string): string[] {
  const utf8 = Buffer.from(text);
  const inner = [0, 1, 2].map((offset) => utf8.subarray(offset, utf8.length - ((utf8.length - offset) % 3)).toString("base64"));
  const utf16 = Buffer.from(text, "utf16le").toString("latin1");
  const escaped = (one: string): string => JSON.stringify(one).slice(1, -1);
  const forms = [text, escaped(text), encodeURIComponent(text), utf8.toString("hex"), utf16, escaped(utf16), ...inner];
  return [...new Set([...forms, ...inner.map((form) => form.replaceAll("+", "-").replaceAll("/", "_"))])];
}

/** Names of the secrets (name → value) that a text has, also in what is compressed in it. */
export function secretsSeen(text: string, secrets: ReadonlyMap<string, string>): string[] {
  const compressed = [...text.matchAll(/H4sI[\w+/-]{20,}/g)].map(([packed]) =>
    gunzipSync(Buffer.from(packed, "base64")).toString(),
  );
  const all = [text, ...compressed].join("\n");
  const words = [...secrets].filter(([, value]) => formsOf(value).some((form) => all.includes(form))).map(([name]) => name);
  const tokens = /eyJ[\w-]{8,}\.[\w-]+\.[\w-]+/.test(all) ? ["something that looks like a token"] : [];
  return [...words, ...tokens];
}

/** All of a folder, as one text. */
export const filesIn = (folder: string): string =>
  readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => readFileSync(path.join(folder, name), "latin1"))
    .join("\n");

/** Every row of every table. */
export async function tablesNow(): Promise<string> {
  const connection = ownAccount();
  const service = TableServiceClient.fromConnectionString(connection, { allowInsecureConnection: true });
  const entities: unknown[] = [];
  for await (const { name = "" } of service.listTables())
    for await (const entity of TableClient.fromConnectionString(connection, name, {
      allowInsecureConnection: true,
    }).listEntities())
      entities.push(entity);
  return JSON.stringify(entities);
}

/** Every blob of every container, with its name. */
export async function blobsNow(): Promise<string> {
  const service = BlobServiceClient.fromConnectionString(ownAccount());
  const texts: string[] = [];
  for await (const { name } of service.listContainers()) {
    const container = service.getContainerClient(name);
    for await (const blob of container.listBlobsFlat())
      texts.push(`${blob.name} ${(await container.getBlobClient(blob.name).downloadToBuffer()).toString("latin1")}`);
  }
  return texts.join("\n");
}
