/** 4: no network interface without a security group; a VM's placement is in its first write and never changes. */
import type { Exchange } from "../../../infra/local/clouds/record.ts";
import { removalOf } from "./once.ts";
import { pathOf, tookEffect, type Violation } from "./record.ts";

export function unguardedNetwork(record: Exchange[]): Violation[] {
  const placements = new Map<string, string>();
  return record.flatMap((exchange): Violation[] => {
    if (exchange.cloud !== "arm" || !tookEffect(exchange)) return [];
    const { method, seq, url, requestBody } = exchange;
    const path = pathOf(url);
    // What is made under the name of a machine that was taken away is another machine.
    const gone = removalOf(exchange);
    if (gone) placements.delete(gone);
    if (method !== "PUT") return [];
    const body = (requestBody ?? {}) as { location?: string; zones?: string[]; properties?: Record<string, unknown> };
    const { id: guard } = (body.properties?.["networkSecurityGroup"] ?? {}) as { id?: string };
    if (/\/networkinterfaces\/[^/]+$/.test(path) && !guard)
      return [{ invariant: 4, seq, what: "a network interface was written without a network security group" }];
    if (!/\/virtualmachines\/[^/]+$/.test(path)) return [];
    const placement = JSON.stringify([body.location, body.zones ?? [], body.properties?.["availabilitySet"] ?? null]);
    const earlier = placements.get(`arm ${path}`);
    placements.set(`arm ${path}`, placement);
    if (!body.location) return [{ invariant: 4, seq, what: "a VM was written without its placement" }];
    return earlier === undefined || earlier === placement
      ? []
      : [{ invariant: 4, seq, what: "a VM's placement was changed after its birth" }];
  });
}
