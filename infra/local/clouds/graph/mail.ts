/**
 * `/users/{id}/sendMail` and `/users/{id}/messages` (Graph v1.0): real messages through the simulated Exchange Online.
 *
 * Sources: "user: sendMail", "List messages" (its rule for $filter with $orderby) and "message resource type" in the Graph reference.
 */
import { randomUUID } from "node:crypto";
import type { MailboxMessage } from "../simulator.ts";
import { addressesIn, bodyOf as mimeBody, headersOf, headerValues, mailDate, messageIdOf, subjectOf } from "../mail/message.ts";
import { badRequest, GraphFailure } from "./answers.ts";
import { filtered, paged, parseFilter, selected } from "./query.ts";
import { bodyOf, type GraphRequest, optionalText, record, type Route } from "./route.ts";

const PAGE_SIZE = 10;
const read = ["Mail.Read", "Mail.ReadWrite", "Mail.ReadBasic.All"];
const FOLDERS: Record<string, MailboxMessage["folder"]> = { inbox: "inbox", junkemail: "junkemail", sentitems: "sentitems" };

export const mailRoutes: Route[] = [
  {
    method: "POST",
    pattern: /^\/users\/([^/]+)\/(?:microsoft\.graph\.)?sendMail$/,
    permissions: ["Mail.Send"],
    run: async (graph) => {
      const { mailbox } = mailboxOf(graph);
      const text = graph.request.headers["content-type"]?.startsWith("text/plain") ?? false;
      const { mime, recipients, saveToSentItems } = text ? fromMime(graph.request.text) : fromJson(graph, mailbox);
      if (recipients.length === 0) throw badRequest("At least one recipient isn't valid.", "ErrorInvalidRecipients");
      const { peers } = graph.platform;
      if (!peers.submitMail) throw new GraphFailure(503, "ErrorServerBusy", "The mailbox server is not there.");
      await peers.submitMail(graph.tenantId, { envelopeFrom: mailbox, recipients, mime }, { saveToSentItems });
      return { status: 202, effect: "write" };
    },
  },
  {
    method: "GET",
    pattern: /^\/users\/([^/]+)(?:\/mailFolders\/([^/]+))?\/messages$/,
    permissions: read,
    run: (graph) => {
      const { url } = graph.request;
      const folder = folderOf(graph.parts[1]);
      requireEfficient(url);
      const newestFirst = messagesOf(graph)
        .filter((message) => folder === undefined || message.folder === folder)
        .toReversed();
      const sorted = ordered(filtered(newestFirst.map(shown), url), url);
      const { page, nextLink } = paged(sorted, url, PAGE_SIZE);
      return {
        status: 200,
        body: {
          "@odata.context": graph.context(`users('${graph.parts[0]}')/messages`),
          value: page.map((message) => visible(message, url)),
          ...(nextLink === undefined ? {} : { "@odata.nextLink": nextLink }),
        },
      };
    },
  },
  {
    method: "GET",
    pattern: /^\/users\/([^/]+)\/messages\/([^/]+)$/,
    permissions: read,
    run: (graph) => {
      const message = messagesOf(graph).find(({ id }) => id === graph.parts[1]);
      if (!message) throw new GraphFailure(404, "ErrorItemNotFound", "The specified object was not found in the store.");
      return {
        status: 200,
        body: {
          "@odata.context": graph.context(`users('${graph.parts[0]}')/messages/$entity`),
          ...visible(shown(message), graph.request.url),
        },
      };
    },
  },
];

function mailboxOf({ platform, tenantId, parts: [user = ""] }: GraphRequest): { mailbox: string; messages: MailboxMessage[] } {
  const mailbox = user.toLowerCase();
  const messages = platform.peers.messagesIn?.(tenantId, mailbox);
  if (!messages) throw new GraphFailure(404, "ErrorInvalidUser", `The requested user '${user}' is invalid.`);
  return { mailbox, messages };
}

const messagesOf = (graph: GraphRequest): MailboxMessage[] => mailboxOf(graph).messages;

function folderOf(name: string | undefined): MailboxMessage["folder"] | undefined {
  if (name === undefined || name === "") return undefined;
  const folder = FOLDERS[name.toLowerCase()];
  if (!folder) throw new GraphFailure(404, "ErrorItemNotFound", "The specified folder could not be found in the store.");
  return folder;
}

interface Outgoing {
  mime: string;
  recipients: string[];
  saveToSentItems: boolean;
}

function fromJson(graph: GraphRequest, mailbox: string): Outgoing {
  const body = bodyOf(graph);
  const message = record(body["message"] ?? body["Message"]);
  if (!message) throw badRequest("The parameter 'message' is required.", "ErrorInvalidParameter");
  if (message["attachments"] !== undefined)
    throw new GraphFailure(501, "NotImplemented", "Attachments are not modelled by this simulator.");
  const [to, cc, bcc] = ["toRecipients", "ccRecipients", "bccRecipients"].map((name) => addressesOf(message[name]));
  const content = record(message["body"]);
  const html = optionalText(content?.["contentType"])?.toLowerCase() === "html";
  const fields = [
    ["From", `<${mailbox}>`],
    ["To", (to ?? []).map((address) => `<${address}>`).join(", ")],
    ...(cc && cc.length > 0 ? [["Cc", cc.map((address) => `<${address}>`).join(", ")]] : []),
    ["Subject", encodedWords(optionalText(message["subject"]) ?? "")],
    ["Date", mailDate(graph.platform.now())],
    ["Message-ID", `<${randomUUID()}@${graph.tenantId}.exchange.example>`],
    ...customHeaders(message["internetMessageHeaders"]),
    ["MIME-Version", "1.0"],
    ["Content-Type", `text/${html ? "html" : "plain"}; charset=utf-8`],
    ["Content-Transfer-Encoding", "base64"],
  ];
  const encoded = Buffer.from(optionalText(content?.["content"]) ?? "")
    .toString("base64")
    .replace(/.{1,76}/g, "$&\r\n");
  return {
    mime: `${fields.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${encoded}`,
    recipients: [...(to ?? []), ...(cc ?? []), ...(bcc ?? [])],
    saveToSentItems: body["saveToSentItems"] !== false && body["SaveToSentItems"] !== false,
  };
}

/** "Send MIME content": the whole message in base64. */
function fromMime(text: string): Outgoing {
  const mime = Buffer.from(text, "base64").toString().replace(/\r?\n/g, "\r\n");
  const recipients = ["To", "Cc", "Bcc"].flatMap((name) => headerValues(mime, name).flatMap(addressesIn));
  return { mime, recipients, saveToSentItems: true };
}

const addressesOf = (recipients: unknown): string[] =>
  Array.isArray(recipients)
    ? recipients.flatMap(
        (recipient) => optionalText(record(record(recipient)?.["emailAddress"])?.["address"])?.toLowerCase() ?? [],
      )
    : [];

/** Graph takes custom headers only, those that begin with `x-`. */
function customHeaders(headers: unknown): string[][] {
  if (!Array.isArray(headers)) return [];
  return headers.map((header) => {
    const [name = "", value = ""] = [optionalText(record(header)?.["name"]), optionalText(record(header)?.["value"])];
    if (!/^x-/i.test(name))
      throw badRequest(
        `The internet message header name '${name}' should start with 'x-' or 'X-'.`,
        "InvalidInternetMessageHeader",
      );
    return [name, value.replace(/[\r\n]+/g, " ")];
  });
}

const encodedWords = (text: string): string =>
  /^[\u0020-\u007e]*$/.test(text) ? text : `=?utf-8?B?${Buffer.from(text).toString("base64")}?=`;
const decodedWords = (text: string): string =>
  text.replace(/=\?utf-8\?B\?([^?]*)\?=/gi, (_whole, base64: string) => Buffer.from(base64, "base64").toString());

/** Properties in $orderby must be in $filter too, else the real service refuses the query. */
function requireEfficient(url: URL): void {
  const [filter, orderBy] = [url.searchParams.get("$filter"), url.searchParams.get("$orderby")];
  if (filter === null || orderBy === null) return;
  const used = new Set(parseFilter(filter).map(({ property }) => property.toLowerCase()));
  for (const part of orderBy.split(",")) {
    const [property = ""] = part.trim().split(/\s+/);
    if (!used.has(property.toLowerCase()))
      throw badRequest("The restriction or sort order is too complex for this operation.", "InefficientFilter");
  }
}

function ordered(messages: Record<string, unknown>[], url: URL): Record<string, unknown>[] {
  const [property = "", direction = "asc"] = (url.searchParams.get("$orderby") ?? "").split(",")[0]?.trim().split(/\s+/) ?? [];
  if (property === "") return messages;
  const sign = direction.toLowerCase() === "desc" ? -1 : 1;
  const keyed = messages.map((message, index) => ({ message, index, key: JSON.stringify(message[property] ?? null) }));
  return keyed
    .sort((one, other) => (one.key === other.key ? one.index - other.index : one.key < other.key ? -sign : sign))
    .map(({ message }) => message);
}

/** Headers come only when they are asked for. */
function visible(message: Record<string, unknown>, url: URL): Record<string, unknown> {
  if (url.searchParams.has("$select")) return selected(message, url);
  const { internetMessageHeaders: _headers, ...rest } = message;
  return rest;
}

function shown({ id, folder, receivedAt, mime }: MailboxMessage): Record<string, unknown> {
  const received = `${new Date(receivedAt).toISOString().slice(0, 19)}Z`;
  const sent = Date.parse(headerValues(mime, "Date")[0] ?? "");
  const content = contentOf(mime);
  const people = (name: string): { emailAddress: { name: string; address: string } }[] =>
    headerValues(mime, name)
      .flatMap(addressesIn)
      .map((address) => ({ emailAddress: { name: address, address } }));
  const html = /^text\/html/i.test(headerValues(mime, "Content-Type")[0] ?? "");
  return {
    "@odata.etag": `W/"${id}"`,
    id,
    createdDateTime: received,
    lastModifiedDateTime: received,
    receivedDateTime: received,
    sentDateTime: Number.isNaN(sent) ? received : `${new Date(sent).toISOString().slice(0, 19)}Z`,
    hasAttachments: false,
    internetMessageId: messageIdOf(mime),
    subject: decodedWords(subjectOf(mime)),
    bodyPreview: content.slice(0, 255),
    importance: "normal",
    parentFolderId: folder,
    isRead: folder === "sentitems",
    isDraft: false,
    body: { contentType: html ? "html" : "text", content },
    sender: people("From")[0] ?? null,
    from: people("From")[0] ?? null,
    toRecipients: people("To"),
    ccRecipients: people("Cc"),
    bccRecipients: [],
    replyTo: people("Reply-To"),
    // What was never in transport has no headers of transport.
    ...(folder === "sentitems" ? {} : { internetMessageHeaders: headersOf(mime) }),
  };
}

function contentOf(mime: string): string {
  const encoding = (headerValues(mime, "Content-Transfer-Encoding")[0] ?? "").toLowerCase();
  return encoding === "base64" ? Buffer.from(mimeBody(mime), "base64").toString() : mimeBody(mime);
}
