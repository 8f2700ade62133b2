/**
 * 9: at every instant of a rotation a machine holds a client secret that Entra takes, and at most two of those that were stored are valid.
 * One whose text was lost on the way to the vault is nobody's. Secrets are told by their ids, as the vault's tags have them.
 */
import { gunzipSync } from "node:zlib";
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { answered, pathOf, tookEffect, type Violation } from "./record.ts";

type Kept = { id?: string; tags?: Record<string, string> };

export function credentialsOverlap(record: Exchange[]): Violation[] {
  /** Application by key, of those that Entra takes. */
  const valid = new Map<string, string>();
  const stored = new Set<string>();
  /** Key by version, and the version that a machine holds of a secret. */
  const keys = new Map<string, string>();
  const held = new Map<string, string>();
  const keyHeld = (place: string): string | undefined => keys.get(held.get(place) ?? "");

  function learn({ cloud, responseBody }: Exchange): void {
    if (cloud !== "vault") return;
    const { value } = (responseBody ?? {}) as { value?: unknown };
    for (const { id, tags } of [responseBody, ...(Array.isArray(value) ? value : [])].map((one) => (one ?? {}) as Kept)) {
      const key = tags?.["gatehouse-key"];
      if (id && key) keys.set(versionOf(id), key);
    }
  }

  return record.flatMap((exchange): Violation[] => {
    const { seq, cloud, method, url, requestBody, responseBody } = exchange;
    const path = pathOf(url);
    const found: string[] = [];
    if (answered(exchange)) learn(exchange);
    if (!tookEffect(exchange)) return [];
    const [, application = "", action] = /\/applications\/([^/]+)\/(addpassword|removepassword)$/.exec(path) ?? [];
    if (cloud === "graph" && action === "addpassword") {
      const { keyId } = (responseBody ?? {}) as { keyId?: string };
      if (keyId) valid.set(keyId, application);
    }
    if (cloud === "graph" && action === "removepassword") {
      const { keyId = "" } = (requestBody ?? {}) as { keyId?: string };
      valid.delete(keyId);
      for (const place of held.keys()) if (keyHeld(place) === keyId) found.push(`a secret was revoked that ${place} holds`);
    }
    if (cloud === "vault" && method === "PUT") {
      const key = ((requestBody ?? {}) as Kept).tags?.["gatehouse-key"];
      if (key) stored.add(key);
      const application = valid.get(key ?? "");
      const both = [...valid].filter(([one, of]) => of === application && stored.has(one));
      if (application !== undefined && both.length > 2) found.push(`${both.length} secrets of one application are valid`);
    }
    const [, machine] = /\/virtualmachines\/([^/]+)\/runcommands\/[^/]+$/.exec(path) ?? [];
    if (cloud === "arm" && method === "PUT" && machine)
      for (const { name, version } of secretsIn(requestBody)) {
        const place = `${path.split("/runcommands/")[0]?.split("/").slice(4).join("/")} for ${name}`;
        held.set(place, version);
        const key = keys.get(version);
        if (key !== undefined && !valid.has(key)) found.push(`${place} was given a secret that Entra does not take`);
      }
    if (cloud === "arm" && method === "DELETE")
      for (const place of held.keys())
        if (`${place.split(" ")[0]}/`.startsWith(`${path.split("/").slice(4).join("/")}/`)) held.delete(place);
    return found.map((what) => ({ invariant: 9, seq, what }));
  });
}

const versionOf = (id: string): string => id.split("/").at(-1) ?? "";

interface SecretUse {
  name: string;
  version: string;
}

/** Which versions of which secrets a guest document, or a part of it, names. */
function secretsIn(body: unknown): SecretUse[] {
  const { properties } = (body ?? {}) as { properties?: { parameters?: { name: string; value?: string }[] } };
  const document = properties?.parameters?.find(({ name }) => name === "Document")?.value;
  if (document === undefined) return [];
  const found: SecretUse[] = [];
  const look = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    const { vaultUrl, name, version } = value as { vaultUrl?: unknown; name?: unknown; version?: unknown };
    if (typeof vaultUrl === "string" && typeof name === "string" && typeof version === "string") found.push({ name, version });
    else Object.values(value).forEach(look);
  };
  look(JSON.parse(gunzipSync(Buffer.from(document, "base64url")).toString()));
  return found;
}
