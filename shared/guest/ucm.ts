/** A UCM server's guest document: what the product's prerequisites make a person do on the member server (mission E6 to E9). Pure. */
import { GUEST_SCHEMA, type GuestDocument, guestDocumentSchema } from "./document.ts";
import { heartbeatFiles, heartbeatTask, type HeartbeatSettings } from "./heartbeat.ts";

export interface UcmSettings {
  generation: number;
  /** The service account in the customer's directory, such as `CONTOSO\svc-ucm`. */
  account: string;
  /** The machine's own subnet: where its modules talk to each other. */
  subnet: string;
  /** Who else may open the web administration. */
  webAdminSources?: string[] | undefined;
  /** Addresses of the domain controllers. */
  controllers: string[];
  heartbeat?: HeartbeatSettings | undefined;
}

const ENHANCED_SECURITY = "HKLM\\SOFTWARE\\Microsoft\\Active Setup\\Installed Components";

export const ucmDocument = ({
  generation,
  account,
  subnet,
  webAdminSources = [],
  controllers,
  heartbeat,
}: UcmSettings): GuestDocument =>
  guestDocumentSchema.parse({
    schema: GUEST_SCHEMA,
    generation,
    ...(heartbeat === undefined ? {} : { files: heartbeatFiles(heartbeat), tasks: [heartbeatTask] }),
    // E8: Internet Explorer's Enhanced Security Configuration, for administrators and for users.
    registry: ["{A509B1A7-37EF-4b3f-8CFC-4F3A74704073}", "{A509B1A8-37EF-4b3f-8CFC-4F3A74704073}"].map((component) => ({
      path: `${ENHANCED_SECURITY}\\${component}`,
      name: "IsInstalled",
      type: "DWord",
      value: 0,
    })),
    defender: { exclusions: ["C:\\Program Files (x86)\\itrezzoAgent"] },
    // E6 and E9: the firewall stays on, and what the prerequisites want open is open to those who need it. Windows' firewall lets loopback through.
    firewall: [
      { name: "Gatehouse UCM web administration", port: 80, protocol: "TCP", sources: [subnet, ...webAdminSources] },
      { name: "Gatehouse UCM modules", port: "49241-65535", protocol: "TCP", sources: [subnet] },
      { name: "Gatehouse UCM web out", port: 80, protocol: "TCP", direction: "Outbound" },
      { name: "Gatehouse UCM Exchange", port: 443, protocol: "TCP", direction: "Outbound" },
      { name: "Gatehouse UCM directory", port: 389, protocol: "TCP", direction: "Outbound", sources: controllers },
    ],
    // E7. Both count from the account's next log-on.
    groups: [{ group: "S-1-5-32-544", members: [account] }],
    rights: [{ right: "SeServiceLogonRight", accounts: [account] }],
  });
