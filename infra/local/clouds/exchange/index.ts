/** Simulated Exchange Online: the REST endpoint that runs cmdlets, and the transport behind it. */
import { createHash, randomUUID } from "node:crypto";
import { createDirectory } from "../entra/directory.ts";
import { headerValues, messageIdOf, withHeaderOnTop } from "../mail/message.ts";
import { createSettling } from "../settling.ts";
import type { Claims, Platform, SimulatedRequest, SimulatedResponse, Simulator } from "../simulator.ts";
import { accessCmdlets, mayRun } from "./access.ts";
import { ARGUMENT, CmdletError, errorResponse, withNoise } from "./answers.ts";
import { applicationAccessCmdlets } from "./application-access.ts";
import { bind } from "./binder.ts";
import type { Cmdlet } from "./cmdlet.ts";
import { connectorCmdlets } from "./connectors.ts";
import { createFrontEnd } from "./front-end.ts";
import { groupCmdlets } from "./groups.ts";
import { organizationCmdlets } from "./organization.ts";
import { createStore } from "./store.ts";
import { transportRuleCmdlets } from "./transport-rules.ts";
import { createTransport } from "./transport.ts";

const ROUTE = /\/adminapi\/(beta|v1\.0)\/([^/]+)\/(InvokeCommand|EXOModuleFile|\$batch)$/i;
const MANAGE_AS_APP = "Exchange.ManageAsApp";
/** More in one batch are refused: the module and every other client cut at ten. */
const LARGEST_BATCH = 10;
/** The module's and the service's own upper bound. */
const LARGEST_PAGE = 1000;

const cmdlets: Record<string, Cmdlet> = {
  ...connectorCmdlets,
  ...transportRuleCmdlets,
  ...groupCmdlets,
  ...organizationCmdlets,
  ...accessCmdlets,
  ...applicationAccessCmdlets,
};

/** Sets `platform.peers.submitMail`, `messagesIn`, `mailReceiverAt` and `runByHand`. */
export function createExchange(platform: Platform): Simulator {
  const store = createStore(platform);
  const directory = createDirectory(platform);
  const settling = createSettling(platform);
  const transport = createTransport(platform, store);
  const { peers } = platform;
  peers.messagesIn = store.messagesIn;
  peers.messageTraces = store.traces;
  peers.mailReceiverAt = createFrontEnd(store, transport.submit);
  peers.submitMail = async (tenantId, message, { saveToSentItems } = { saveToSentItems: false }) => {
    if (store.messagesIn(tenantId, message.envelopeFrom) === undefined)
      throw new Error(`${message.envelopeFrom} is no mailbox of ${tenantId}`);
    const complete =
      messageIdOf(message.mime) === ""
        ? withHeaderOnTop(message.mime, "Message-ID", `<${randomUUID()}@${tenantId}.exchange.example>`)
        : message.mime;
    if (saveToSentItems)
      store.deliver(tenantId, message.envelopeFrom.toLowerCase(), {
        id: randomUUID(),
        folder: "sentitems",
        receivedAt: platform.now(),
        envelopeFrom: message.envelopeFrom,
        mime: complete,
      });
    transport.submit({
      tenantId,
      message: { ...message, mime: complete, ...(returns(complete) ? {} : { envelopeFrom: "" }) },
      lastHop: undefined,
      authenticated: true,
      scl: undefined,
    });
  };

  peers.runByHand = async (tenantId, name, parameters) => {
    const cmdlet = cmdlets[name];
    if (!cmdlet) throw new Error(`there is no cmdlet ${name}`);
    const url = `${platform.environment.exchange.endpoint}/adminapi/beta/${tenantId}/InvokeCommand`;
    const requestBody = { CmdletInput: { CmdletName: name, Parameters: parameters }, byHand: true };
    const asked = { url: new URL(url), method: "POST", headers: {}, body: requestBody, text: "" };
    const { status, body, effect } = await run(asked, name, cmdlet, parameters, tenantId);
    platform.note("exchange", {
      method: "POST",
      url,
      tenant: tenantId,
      requestBody,
      status,
      responseBody: body,
      ...(effect && { effect }),
    });
  };

  async function handle(request: SimulatedRequest): Promise<SimulatedResponse> {
    const [, version, tenantId = "", endpoint = ""] = ROUTE.exec(request.url.pathname) ?? [];
    if (version === undefined) return { status: 404, body: { error: { code: "NotFound", message: "No such endpoint." } } };
    const claims = await platform.verify(request, platform.environment.exchange.audience);
    if (!claims || claims.tid.toLowerCase() !== tenantId.toLowerCase() || !store.organization(tenantId)) return unauthorized();
    // Without the application permission the service answers with an empty body.
    if (!claims.roles?.includes(MANAGE_AS_APP)) return { status: 403 };
    if (endpoint.toLowerCase() === "exomodulefile")
      return request.method === "GET" ? moduleFile(request, claims) : { status: 405 };
    if (request.method !== "POST") return { status: 405 };
    return endpoint.toLowerCase() === "$batch" ? batch(request) : invoke(request, claims);
  }

  /** Each part is a request of its own, with its own status: a batch of failures is a 200. In no order that could be relied on. */
  async function batch(request: SimulatedRequest): Promise<SimulatedResponse> {
    const parts = record(request.body)?.["requests"];
    if (!Array.isArray(parts) || parts.length === 0 || parts.length > LARGEST_BATCH)
      return errorResponse(new CmdletError(ARGUMENT, `A batch has from one to ${LARGEST_BATCH} requests.`), undefined);
    const answers = [];
    for (const one of parts.map((part: unknown) => record(part) ?? {}).toReversed()) {
      const url = new URL(typeof one["url"] === "string" ? one["url"] : "", request.url);
      const headers = Object.fromEntries(
        Object.entries(record(one["headers"]) ?? {}).map(([name, value]) => [name.toLowerCase(), String(value)]),
      );
      const inner = {
        ...request,
        url,
        method: typeof one["method"] === "string" ? one["method"] : "POST",
        headers: { ...request.headers, ...headers },
      };
      const nested = /\/\$batch$/i.test(url.pathname);
      const answer = nested
        ? { status: 400 }
        : await handle({ ...inner, body: one["body"], text: JSON.stringify(one["body"] ?? null) });
      answers.push({ id: one["id"], answer });
    }
    return {
      status: 200,
      body: { responses: answers.map(({ id, answer: { status, headers = {}, body } }) => ({ id, status, headers, body })) },
      effect: answers.some(({ answer }) => answer.effect === "write") ? "write" : "none",
    };
  }

  async function invoke(request: SimulatedRequest, claims: Claims): Promise<SimulatedResponse> {
    let name: string | undefined;
    try {
      const input = inputOf(request);
      name = input.name;
      const cmdlet = Object.entries(cmdlets).find(([known]) => known.toLowerCase() === input.name.toLowerCase());
      if (!cmdlet)
        throw new CmdletError(
          "System.Management.Automation.CommandNotFoundException",
          `The term '${input.name}' is not recognized as the name of a cmdlet.`,
        );
      // App-only needs a role in the tenant beside the permission.
      if (!allowedTo(claims)(cmdlet[0])) return notAllowed(cmdlet[0]);
      return await run(request, cmdlet[0], cmdlet[1], input.parameters, claims.tid.toLowerCase());
    } catch (error) {
      if (error instanceof CmdletError) return errorResponse(error, name);
      throw error;
    }
  }

  const allowedTo = (claims: Claims): ((cmdlet: string) => boolean) => mayRun({ store, directory, settling }, claims);

  async function run(
    request: SimulatedRequest,
    name: string,
    cmdlet: Cmdlet,
    parameters: Record<string, unknown>,
    tenantId: string,
  ): Promise<SimulatedResponse> {
    const bound = bind(cmdlet, parameters);
    const now = (): string => new Date(platform.now()).toISOString();
    const prepared = cmdlet.prepare({ tenantId, store, peers, settling, now }, bound);
    const context = `${platform.environment.exchange.endpoint}/adminapi/beta/${tenantId}/$metadata#Collection(Exchange.GenericHashTable)`;
    const asking = bound.get("Confirm") === true || bound.get("WhatIf") === true;
    if (asking || (cmdlet.asksByDefault === true && bound.get("Confirm") !== false))
      return answer(context, [], {
        "@adminapi.confirmationmessage": `Are you sure you want to perform this action?|${name}|${prepared.target}`,
      });
    const values = await prepared.commit();
    const effect = cmdlet.shouldProcess === true ? "write" : "none";
    return { ...paged(request, context, values, prepared.warnings), effect };
  }

  function moduleFile({ headers }: SimulatedRequest, claims: Claims): SimulatedResponse {
    if (headers["commandname"] === undefined)
      return errorResponse(new CmdletError(ARGUMENT, "The header CommandName is required."), undefined);
    const exportedCmdlets = Object.keys(cmdlets).filter(allowedTo(claims)).sort().join(",");
    return { status: 200, body: { value: [{ exportedCmdlets, moduleVersion: "3.9.2" }] } };
  }

  return {
    name: "exchange",
    handle,
    start: () => transport.resume(),
    close: () => transport.stop(),
    state: () => ({
      queue: transport.state(),
      organizations: platform.organizations.values().map(({ tenantId, mailboxes }) => ({
        tenantId,
        inboundConnectors: store.inboundConnectors.of(tenantId).map(({ name, settings }) => ({ name, ...settings })),
        outboundConnectors: store.outboundConnectors.of(tenantId).map(({ name, settings }) => ({ name, ...settings })),
        transportRules: store.rules
          .of(tenantId)
          .map(({ name, priority, enabled, mode, settings }) => ({ name, priority, enabled, mode, ...settings })),
        effectiveRules: store.effectiveRules(tenantId).map(({ name }) => name),
        rulesPropagated: store.rulesPropagated(tenantId),
        allowed: store.filterPolicy(tenantId).allowed,
        roleGroups: store.roleGroups.of(tenantId).map(({ name, roles, members }) => ({ name, roles, members: members.length })),
        mailboxes: mailboxes.map((mailbox) => ({
          mailbox,
          messages: (store.messagesIn(tenantId, mailbox) ?? []).map(({ folder, envelopeFrom, mime }) => ({
            folder,
            envelopeFrom,
            subject: headerValues(mime, "Subject")[0] ?? "",
          })),
        })),
      })),
    }),
  };
}

/** The cmdlet and its parameters, after the checks that the endpoint makes before it looks at either. */
function inputOf({ headers, body }: SimulatedRequest): { name: string; parameters: Record<string, unknown> } {
  if (headers["x-anchormailbox"] === undefined || headers["x-anchormailbox"] === "")
    throw new CmdletError(ARGUMENT, "The header X-AnchorMailbox is required for app-only requests.");
  const input = record(record(body)?.["CmdletInput"]);
  const name = input?.["CmdletName"];
  if (typeof name !== "string" || name === "")
    throw new CmdletError(ARGUMENT, "The request body must have CmdletInput with CmdletName.");
  const header = headers["x-cmdletname"];
  if (header !== undefined && header.toLowerCase() !== name.toLowerCase())
    throw new CmdletError(ARGUMENT, `The header X-CmdletName '${header}' doesn't match the cmdlet '${name}' in the body.`);
  return { name, parameters: record(input?.["Parameters"] ?? {}) ?? {} };
}

/** One page; the next one is asked for by posting the same body to its link. */
function paged(
  request: SimulatedRequest,
  context: string,
  values: Record<string, unknown>[],
  warnings: string[] | undefined,
): SimulatedResponse {
  const [, pageSize] = /odata\.maxpagesize=(\d+)/i.exec(request.headers["prefer"] ?? "") ?? [];
  const size = Math.min(LARGEST_PAGE, Math.max(1, Number(pageSize ?? LARGEST_PAGE)));
  // The link is good for the body that it was given for, and for no other.
  const asked = createHash("sha256").update(JSON.stringify(request.body)).digest("hex").slice(0, 16);
  const [start = "0", askedFirst = asked] = (request.url.searchParams.get("$skiptoken") ?? "0").split(".");
  if (askedFirst !== asked) throw new CmdletError(ARGUMENT, "The skip token doesn't belong to the cmdlet in the request's body.");
  const skip = Number(start);
  const selected = request.url.searchParams
    .get("$select")
    ?.split(",")
    .map((one) => one.trim().toLowerCase());
  const page = values.slice(skip, skip + size).map((value) => withNoise(selected ? only(value, selected) : value));
  const next = new URL(request.url);
  next.searchParams.set("$skiptoken", `${skip + size}.${asked}`);
  return answer(context, page, {
    ...(skip + size < values.length ? { "@odata.nextLink": next.href } : {}),
    ...(warnings === undefined ? {} : { "@adminapi.warnings": warnings }),
  });
}

const only = (value: Record<string, unknown>, selected: string[]): Record<string, unknown> =>
  Object.fromEntries(Object.entries(value).filter(([name]) => selected.includes(name.toLowerCase())));

const answer = (context: string, value: unknown[], more: Record<string, unknown>): SimulatedResponse => ({
  status: 200,
  headers: { "request-id": randomUUID(), "content-type": "application/json; odata.metadata=minimal; charset=utf-8" },
  body: { "@odata.context": context, value, ...more },
});

const unauthorized = (): SimulatedResponse => ({
  status: 401,
  headers: { "www-authenticate": 'Bearer client_id="00000002-0000-0ff1-ce00-000000000000", error="invalid_token"' },
});

/** Research, chapter 1.6: a missing management role is a 401 whose body says so. */
const notAllowed = (cmdlet: string): SimulatedResponse => ({
  status: 401,
  body: { error: { code: "Unauthorized", message: `User is not allowed to call ${cmdlet}` } },
});

const record = (value: unknown): Record<string, unknown> | undefined =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined;

/** Automatic replies and receipts are nobody's to return (RFC 3834, RFC 8098): Exchange sends them with an empty envelope sender. */
const returns = (mime: string): boolean =>
  !headerValues(mime, "Auto-Submitted").some((value) => /^auto-replied/i.test(value)) &&
  !headerValues(mime, "Content-Type").some((value) => /^multipart\/report/i.test(value));
