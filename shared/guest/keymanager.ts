/** A KeyManager machine's guest document: its port is open to its own network, and to whom the spec names (manual, chapter 2.1). Pure. */
import { openServices } from "../azure/services.ts";
import type { Services } from "../tenants/spec.ts";
import { GUEST_SCHEMA, type GuestDocument, guestDocumentSchema } from "./document.ts";

export interface KeyManagerSettings {
  generation: number;
  /** What is open beyond its own network. */
  services: Pick<Services, "keyManager" | "rdp">;
}

/** Gateways ask it from the same subnet, whoever else may. */
const inside = openServices({ keyManager: {} }).map((service) => ({
  ...service,
  name: `${service.name} inside`,
  sources: ["LocalSubnet"],
}));

export const keyManagerDocument = ({ generation, services: { keyManager, rdp } }: KeyManagerSettings): GuestDocument =>
  guestDocumentSchema.parse({
    schema: GUEST_SCHEMA,
    generation,
    // Windows' firewall knows no port without a protocol: KeyManager's "any" is TCP here.
    firewall: [...openServices({ keyManager, rdp }), ...inside].map(({ name, port, sources }) => ({
      name: `Gatehouse ${name}`,
      port,
      protocol: "TCP",
      ...(sources === undefined ? {} : { sources }),
    })),
  });
