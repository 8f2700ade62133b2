/** The simulators' own door for tests and for `npm start`, plain HTTP on loopback; the application never knocks here. */
import * as z from "zod";
import { blocklistSchema } from "./dns/blocklists.ts";
import { type Faults, faultSchema, matchSchema, suits } from "./faults.ts";
import { organizationSchema, registerOrganization, SubscriptionTaken } from "./organizations.ts";
import type { RequestRecord } from "./record.ts";
import { NoSuchSnapshot, type Snapshots } from "./snapshots.ts";
import type { Redaction } from "./redaction.ts";
import type { Answer } from "./server.ts";
import { eventSchemas, type VaultEvents } from "./vault/events.ts";
import type { MailMessage, Platform, SimulatedRequest, SimulatedResponse, Simulator } from "./simulator.ts";

const cloudNames = ["entra", "arm", "vault", "graph", "exchange", "dns", "mail", "identity", "webhooks"] as const;

const faultRequestSchema = z
  .strictObject({
    /** Without a cloud, the requests of all are meant. */
    cloud: z.enum(cloudNames).optional(),
    match: matchSchema.default({}),
    fault: faultSchema,
    after: z.number().int().min(0).default(0),
    times: z.number().int().min(1).default(1),
  })
  .refine(({ cloud, fault }) => suits(cloud, fault), { path: ["fault"], error: "is nothing that happens to this cloud" });

const machineSchema = z
  .strictObject({
    /** Azure's resource id; or else whose gateway it is, by its ownership tags. */
    virtualMachineId: z.string().min(1).optional(),
    partnerId: z.string().min(1).optional(),
    tenantId: z.string().min(1).optional(),
    /** `fail` and `recover`: an outage of the platform under a machine that runs. */
    action: z.enum(["start", "stop", "fail", "recover"]),
  })
  .refine(({ virtualMachineId, tenantId }) => (virtualMachineId === undefined) !== (tenantId === undefined), {
    error: "give either virtualMachineId or tenantId",
  });

/** What somebody at the customer types into their own Exchange Online PowerShell. */
const cmdletSchema = z.strictObject({
  tenantId: z.guid(),
  cmdlet: z.string().min(1),
  parameters: z.record(z.string(), z.unknown()).default({}),
});

const secretSchema = z.strictObject({
  /** The vault's name. */
  vault: z.string().min(1),
  name: z.string().min(1),
  expiresInSeconds: z.number().int().min(0),
  schema: z.enum(eventSchemas).default("CloudEventSchemaV1_0"),
});

const certificateSchema = z.strictObject({
  vault: z.string().min(1),
  name: z.string().min(1),
  names: z.tuple([z.string().min(1)], z.string().min(1)),
  selfSigned: z.boolean().default(false),
  /** Whether a client may show it too, as public authorities hardly allow any more. */
  forClients: z.boolean().default(true),
  days: z.number().int().min(1).default(365),
});

const addresses = z.union([z.email().transform((one) => [one]), z.array(z.email()).min(1)]);
const mailSchema = z.strictObject({
  from: z.email(),
  to: addresses,
  subject: z.string().default("A message"),
  text: z.string().default("Hello."),
  /** Further header fields. */
  headers: z.record(z.string().regex(/^[!-9;-~]+$/, "must be a header field's name"), z.string()).default({}),
  /** The whole message instead (RFC 5322). */
  mime: z.string().optional(),
  /** Who on the outside sends: SMTP name and public address. */
  source: z
    .strictObject({ name: z.string().min(1), address: z.ipv4() })
    .default({ name: "mail.outside.example", address: "198.51.100.25" }),
  tls: z.enum(["required", "opportunistic"]).default("opportunistic"),
});

export interface Control {
  platform: Platform;
  /** Others after a restore. */
  simulators: () => Simulator[];
  record: RequestRecord;
  faults: Faults;
  redaction: Redaction;
  /** None without a Service Bus to deliver to. */
  vaultEvents: VaultEvents | undefined;
  snapshots: Snapshots;
}

/** Every answer is JSON; what is wrong with a body is said part by part. */
export const controlDoor =
  (control: Control): Answer =>
  async (request) => {
    try {
      return await route(control, request);
    } catch (error) {
      if (error instanceof z.ZodError) return problem(400, z.prettifyError(error));
      if (error instanceof NoSuchSnapshot) return problem(404, error.message);
      if (error instanceof SubscriptionTaken) return problem(409, error.message);
      process.stderr.write(`control: ${error instanceof Error ? error.stack : String(error)}\n`);
      return problem(500, error instanceof Error ? error.message : String(error));
    }
  };

async function route(
  { platform, simulators, record, faults, redaction, vaultEvents, snapshots }: Control,
  request: SimulatedRequest,
): Promise<SimulatedResponse> {
  const { method, url, body } = request;
  const [, first = "", second, third] = url.pathname.split("/");
  if (first === "azure") return platform.peers.controlAzure?.(request) ?? problem(404, `there is no ${method} ${url.pathname}`);
  switch (`${method} /${first}`) {
    case "GET /requests": {
      const query = z
        .strictObject({ cloud: z.enum(cloudNames).optional(), since: z.coerce.number().int().min(0).default(0) })
        .parse(Object.fromEntries(url.searchParams));
      return { status: 200, body: record.list(query) };
    }
    case "POST /organizations": {
      const given = organizationSchema.parse(body);
      const status = platform.organizations.get(given.tenantId) ? 200 : 201;
      return { status, body: registerOrganization(platform, given) };
    }
    case "GET /organizations":
      return { status: 200, body: { value: platform.organizations.values() } };
    case "POST /faults":
      return { status: 201, body: faults.plan(faultRequestSchema.parse(body)) };
    case "GET /faults":
      return { status: 200, body: { value: faults.list() } };
    case "DELETE /faults":
      faults.clear();
      return { status: 204 };
    case "GET /state": {
      const simulator = simulators().find(({ name }) => name === second);
      if (!simulator)
        return problem(
          404,
          `no such cloud; there are ${simulators()
            .map(({ name }) => name)
            .join(", ")}`,
        );
      return { status: 200, body: redaction.redact(simulator.state() ?? {}) };
    }
    case "POST /snapshots": {
      if (second === undefined) return { status: 201, body: { id: snapshots.snapshot() } };
      const id = z.coerce.number().int().safeParse(second);
      if (!id.success || third !== "restore") return problem(404, "POST /snapshots, POST /snapshots/{id}/restore");
      await snapshots.restore(id.data);
      return { status: 204 };
    }
    case "POST /blocklists": {
      if (!platform.peers.blocklists) throw new Error("DNS is not there to have blocklists");
      return { status: 200, body: platform.peers.blocklists.change(blocklistSchema.parse(body)) };
    }
    case "GET /portal":
    case "POST /portal":
      return platform.peers.blocklists?.portal(request) ?? problem(404, "DNS is not there to have blocklists");
    case "POST /machines":
      return actOnMachines(platform, machineSchema.parse(body));
    case "POST /cmdlets": {
      const { tenantId, cmdlet, parameters } = cmdletSchema.parse(body);
      await platform.peers.runByHand?.(tenantId, cmdlet, parameters);
      return { status: 200, body: { tenantId, cmdlet } };
    }
    case "POST /secrets":
      return bringNearExpiry(platform, vaultEvents, secretSchema.parse(body));
    case "POST /certificates":
      return importByHand(platform, certificateSchema.parse(body));
    case "POST /mail":
      return { status: 202, body: await sendMail(platform, mailSchema.parse(body)) };
    default:
      return problem(
        404,
        "GET /requests?cloud=&since=, POST /organizations, GET /organizations, POST /faults, GET /faults, DELETE /faults, GET /state/<cloud>, POST /snapshots, POST /snapshots/<id>/restore, POST /machines, POST /cmdlets, POST /secrets, POST /certificates, POST /mail, POST /blocklists, GET and POST /portal/<zone>",
      );
  }
}

/** Starts, stops or breaks machines; the answer names them. */
function actOnMachines(
  { peers }: Platform,
  { virtualMachineId, partnerId, tenantId, action }: z.output<typeof machineSchema>,
): SimulatedResponse {
  const meant = (peers.machines?.() ?? []).filter(({ virtualMachineId: id, tags }) =>
    virtualMachineId === undefined
      ? tags["gatehouse-tenant"] === tenantId && (partnerId === undefined || tags["gatehouse-partner"] === partnerId)
      : id.toLowerCase() === virtualMachineId.toLowerCase(),
  );
  if (meant.length === 0) return problem(404, "there is no such machine");
  for (const { virtualMachineId: id } of meant) peers.actOnMachine?.(id, action);
  return { status: 200, body: { value: meant.map(({ virtualMachineId: id }) => ({ virtualMachineId: id, action })) } };
}

/** The customer's person, who has a certificate and imports it. */
async function importByHand(
  { peers, certificates }: Platform,
  { vault, name, forClients, ...wanted }: z.output<typeof certificateSchema>,
): Promise<SimulatedResponse> {
  const { certificate, key } = await certificates.certify({
    ...wanted,
    usages: ["1.3.6.1.5.5.7.3.1", ...(forClients ? ["1.3.6.1.5.5.7.3.2"] : [])],
  });
  const version = peers.importCertificate?.(vault, name, `${certificate}\n${key}`);
  return version === undefined ? problem(404, "there is no such vault") : { status: 201, body: { version, certificate } };
}

/** Only vaults of our own Entra tenant have a subscription of ours; of all others the daily sweep is all there is. */
async function bringNearExpiry(
  { peers, identity, now }: Platform,
  events: VaultEvents | undefined,
  { vault, name, expiresInSeconds, schema }: z.output<typeof secretSchema>,
): Promise<SimulatedResponse> {
  const near = peers.bringNearExpiry?.(vault, name, Math.floor(now() / 1000) + expiresInSeconds);
  if (!near) return problem(404, `there is no secret ${name} in a vault ${vault}`);
  const { secretId: id, expires } = near;
  const event = near.tenantId === identity.homeTenantId ? await events?.deliver(near, schema) : undefined;
  return { status: 200, body: { id, expiresAt: new Date(expires * 1000).toISOString(), event: event ?? null } };
}

/** From a mailbox of an organisation through its Exchange Online; from anybody else by SMTP to the recipients' MX. */
async function sendMail(platform: Platform, mail: z.output<typeof mailSchema>): Promise<unknown> {
  const { from, to, source, tls } = mail;
  const { peers } = platform;
  const message: MailMessage = { envelopeFrom: from, recipients: to, mime: mail.mime ?? compose(platform, mail) };
  const organization = platform.organizations.values().find(({ mailboxes }) => mailboxes.includes(from.toLowerCase()));
  if (organization) {
    if (!peers.submitMail) throw new Error("Exchange Online is not there to take mail");
    await peers.submitMail(organization.tenantId, message);
    return { via: "mailbox", tenantId: organization.tenantId };
  }
  if (!peers.deliverMail || !peers.lookup) throw new Error("the mail internet is not there to deliver mail");
  const deliveries = [];
  for (const [domain, recipients] of Map.groupBy(to, (address) => address.slice(address.lastIndexOf("@") + 1).toLowerCase())) {
    const host = peers.lookup(domain, "MX")[0] ?? domain;
    deliveries.push({
      host,
      ...(await peers.deliverMail({ from: source, to: { host, port: 25 }, message: { ...message, recipients }, tls })),
    });
  }
  return { via: "internet", deliveries };
}

function compose({ now }: Platform, { from, to, subject, text, headers }: z.output<typeof mailSchema>): string {
  const fields = {
    From: `<${from}>`,
    To: to.map((address) => `<${address}>`).join(", "),
    Subject: subject,
    Date: new Date(now()).toUTCString().replace("GMT", "+0000"),
    "Message-ID": `<${crypto.randomUUID()}@${from.slice(from.lastIndexOf("@") + 1)}>`,
    "MIME-Version": "1.0",
    "Content-Type": "text/plain; charset=utf-8",
    ...headers,
  };
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value.replace(/[\r\n]+/g, " ")}`);
  return `${lines.join("\r\n")}\r\n\r\n${text.replace(/\r?\n/g, "\r\n")}\r\n`;
}

const problem = (status: number, message: string): SimulatedResponse => ({
  status,
  body: { error: { code: codes[status] ?? "Failed", message } },
});
const codes: Record<number, string> = { 400: "InvalidRequest", 404: "NotFound", 409: "Conflict" };
