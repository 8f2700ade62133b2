/**
 * An ACME server (RFC 8555) as one deployment's account sees it: orders for one name each, proven by a TXT record. Every call is one look or
 * one write, and none waits: waiting belongs to durable timers.
 */
import { generateKeyPairSync } from "node:crypto";
import type { Authorization, axios as Axios, Client, Order } from "acme-client";
import { ControlPlaneError } from "../errors.ts";
import { retryAfterOf } from "../retry-after.ts";
import type { Vaults } from "../vault/client.ts";

export interface AcmeServer {
  readonly directoryUrl: string;
  /** Makes an order and gives its URL. */
  order(name: string): Promise<string>;
  /** One that is open, of those that the server lists; most servers list none. */
  openOrder(name: string): Promise<string | undefined>;
  look(orderUrl: string): Promise<AcmeOrder>;
  /** Says that the record is there. */
  answer(challengeUrl: string): Promise<void>;
  /** `request` is a certificate signing request in DER. */
  finalize(order: AcmeOrder, request: Buffer): Promise<void>;
  /** What such a request asks for. */
  namesIn(request: Buffer): Promise<string[]>;
  /** In DER, the name's own first. Of an order that is valid. */
  chain(order: AcmeOrder): Promise<Buffer[]>;
}

export interface AcmeOrder {
  url: string;
  status: "pending" | "ready" | "processing" | "valid" | "invalid";
  /** Why it is invalid. */
  problem?: Problem | undefined;
  /** What has to be proven while it is pending; absent where an earlier proof still counts. */
  challenge?: { url: string; status: "pending" | "processing" | "valid" | "invalid"; text: string } | undefined;
  finalize: string;
  certificate: string | undefined;
}

/** RFC 8555, chapter 6.7; `type` without its namespace, such as `rateLimited`. */
export interface Problem {
  type: string;
  detail: string;
}

/** The server's own refusal. */
export class AcmeProblem extends Error {
  readonly type: string;
  readonly detail: string;
  readonly status: number;
  readonly retryAfterInSeconds: number | undefined;

  constructor({ type, detail }: Problem, status: number, retryAfterInSeconds: number | undefined) {
    super(detail);
    this.name = "AcmeProblem";
    this.type = type;
    this.detail = detail;
    this.status = status;
    this.retryAfterInSeconds = retryAfterInSeconds;
  }
}

export interface AcmeOptions {
  directoryUrl: string;
  /** Who is told of certificates that near their end, where the server tells anybody. */
  contact: string | undefined;
  /** Key id of the account that the authority knows us by; its HMAC key is in the vault. */
  externalAccount: string | undefined;
  vaults: Vaults;
  platformVaultUrl: string;
}

/** In the platform's own vault. */
export const accountSecrets = { key: "acme-account-key", externalKey: "acme-external-account-key" } as const;

const NAMESPACE = "urn:ietf:params:acme:error:";
const TIMEOUT_IN_MILLISECONDS = 30_000;
const MOST_LISTED = 10;
const MOST_PAGES = 100;
/** The library gives bodies and no headers: where a list goes on is put among its own. */
const NEXT = "gatehouse-next";

export function createAcmeServer(options: AcmeOptions): AcmeServer {
  const { directoryUrl } = options;
  let opened: Promise<Account> | undefined;

  async function account(): Promise<Account> {
    opened ??= openAccount(options);
    try {
      return await opened;
    } catch (error) {
      opened = undefined;
      throw error;
    }
  }

  async function asked<Answer>(ask: (account: Account) => Promise<Answer>): Promise<Answer> {
    try {
      return await ask(await account());
    } catch (cause) {
      // The account may be another one by the time that somebody has seen to it.
      if (cause instanceof AcmeProblem) opened = undefined;
      if (cause instanceof AcmeProblem || cause instanceof ControlPlaneError) throw cause;
      // What the library says itself: a nonce that was refused five times, an answer without what it must have.
      const said = cause instanceof Error ? cause.message : "";
      throw new ControlPlaneError("AcmeUnavailable", `asking the ACME server: ${said}`, 503, true, { cause });
    }
  }

  const look = (url: string): Promise<AcmeOrder> =>
    asked(async ({ client }) => {
      const order = await client.getOrder({ url } as Order);
      const authorizations = await client.getAuthorizations(order);
      return lookedAt(client, order, authorizations);
    });

  return {
    directoryUrl,
    look,
    order: (name) => asked(async ({ client }) => (await client.createOrder({ identifiers: [{ type: "dns", value: name }] })).url),
    openOrder: (name) =>
      asked(async ({ client, ordersUrl }) => {
        for (const url of await listed(client, ordersUrl)) {
          const { status, identifiers } = await client.getOrder({ url } as Order);
          const its = identifiers.length === 1 && identifiers[0]?.value === name;
          if (its && ["pending", "ready", "processing"].includes(status)) return url;
        }
        return undefined;
      }),
    answer: (challengeUrl) =>
      asked(async ({ client }) => {
        await client.completeChallenge({ type: "dns-01", url: challengeUrl, status: "pending", token: "" });
      }),
    finalize: ({ url, finalize }, request) =>
      asked(async ({ client }) => {
        await client.finalizeOrder({ url, finalize } as Order, pemOf("CERTIFICATE REQUEST", request));
      }),
    async namesIn(request) {
      const { crypto } = await import("acme-client");
      const { commonName, altNames } = crypto.readCsrDomains(pemOf("CERTIFICATE REQUEST", request));
      return [...new Set([commonName, ...altNames].filter(Boolean).map((name) => name.toLowerCase()))];
    },
    chain: ({ url, certificate, status }) =>
      asked(async ({ client }) => {
        const chain = await client.getCertificate({ url, status, certificate } as Order);
        return [...chain.matchAll(/-----BEGIN CERTIFICATE-----([^-]+)-----END CERTIFICATE-----/g)].map(([, body = ""]) =>
          Buffer.from(body, "base64"),
        );
      }),
  };
}

/** Some at either end, since the newest may be first or last. */
async function listed(client: Client, ordersUrl: string | undefined): Promise<string[]> {
  const all: string[] = [];
  for (let [url, page] = [ordersUrl, 0]; url !== undefined && page < MOST_PAGES; page++) {
    const { orders = [], [NEXT]: next }: { orders?: string[]; [NEXT]?: string } = (await client.getOrder({
      url,
    } as Order)) as object;
    all.push(...orders);
    url = next;
  }
  return all.length <= 2 * MOST_LISTED
    ? all.toReversed()
    : [...all.slice(-MOST_LISTED).toReversed(), ...all.slice(0, MOST_LISTED)];
}

async function lookedAt(client: Client, order: Order, [authorization]: Authorization[]): Promise<AcmeOrder> {
  const challenge = authorization?.challenges.find(({ type }) => type === "dns-01");
  const { url, status, finalize, certificate } = order;
  const problem = problemOf(order.error) ?? problemOf(challenge?.error);
  if (status === "pending" && challenge === undefined)
    throw new AcmeProblem(
      { type: "unsupportedChallenge", detail: "the server offers no proof by DNS for the name" },
      200,
      undefined,
    );
  return {
    url,
    status,
    ...(status === "invalid" && { problem }),
    ...(authorization?.status === "pending" &&
      challenge && {
        challenge: {
          url: challenge.url,
          status: challenge.status,
          text: await client.getChallengeKeyAuthorization(challenge),
        },
      }),
    finalize,
    certificate,
  };
}

interface Account {
  client: Client;
  /** Where the server lists its orders. */
  ordersUrl: string | undefined;
}

/** The account that the key opens; made at its first use. Whoever set the server's directory has agreed to its terms. */
async function openAccount({ directoryUrl, contact, externalAccount, vaults, platformVaultUrl }: AcmeOptions): Promise<Account> {
  const { Client, axios } = await import("acme-client");
  sendOwnWay(axios);
  const accountKey = await accountKeyIn(vaults, platformVaultUrl);
  const known = new Client({ directoryUrl, accountKey });
  try {
    const { orders } = await known.createAccount({ onlyReturnExisting: true });
    return { client: known, ordersUrl: orders };
  } catch (error) {
    if (!(error instanceof AcmeProblem) || error.type !== "accountDoesNotExist") throw error;
  }
  const externalAccountBinding = externalAccount && {
    kid: externalAccount,
    hmacKey: await externalKeyIn(vaults, platformVaultUrl),
  };
  const client = new Client({ directoryUrl, accountKey, ...(externalAccountBinding && { externalAccountBinding }) });
  const { orders } = await client.createAccount({
    termsOfServiceAgreed: true,
    ...(contact !== undefined && { contact: [`mailto:${contact}`] }),
  });
  return { client, ordersUrl: orders };
}

/** Made once: instances that start at the same time may each write one, and all of them use the first. */
async function accountKeyIn(vaults: Vaults, vaultUrl: string): Promise<string> {
  const name = accountSecrets.key;
  const known = await vaults.first(vaultUrl, name);
  if (known) return vaults.read(known);
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const made = await vaults.write({ vaultUrl, name, value: privateKey.export({ type: "pkcs8", format: "pem" }).toString() });
  return vaults.read((await vaults.first(vaultUrl, name)) ?? made);
}

async function externalKeyIn(vaults: Vaults, vaultUrl: string): Promise<string> {
  const name = accountSecrets.externalKey;
  const found = await vaults.newest(vaultUrl, name);
  if (found) return vaults.read(found);
  throw new ControlPlaneError(
    "AcmeAccountRefused",
    `the platform's vault has no secret ${name}, the key of the external account`,
    409,
  );
}

type Adapter = Exclude<NonNullable<(typeof Axios)["defaults"]["adapter"]>, string | unknown[]>;

/**
 * The library's own way of sending sleeps before it tries again, follows redirects, and loses the kind of a problem and how long to wait.
 * `badNonce` it has to see itself: it signs anew then.
 */
function sendOwnWay(axios: typeof Axios): void {
  axios.defaults.adapter = send;
}

const send: Adapter = async (config) => {
  const { url = "", method = "get", data, headers } = config;
  const response = await fetch(url, {
    method: method.toUpperCase(),
    headers: Object.entries(headers.toJSON()).flatMap(([name, value]) =>
      value === undefined || value === null ? [] : [[name, String(value)] as [string, string]],
    ),
    ...(typeof data === "string" && { body: data }),
    redirect: "error",
    signal: AbortSignal.timeout(TIMEOUT_IN_MILLISECONDS),
  }).catch((cause: unknown) => {
    throw new ControlPlaneError("AcmeUnavailable", "the ACME server does not answer", 503, true, { cause });
  });
  const text = await response.text();
  const { status, statusText } = response;
  if (status >= 400) {
    const problem = problemOf(parsed(text)) ?? { type: "", detail: `the server answered ${status}` };
    const retryAfterInSeconds = retryAfterOf(response.headers);
    if (status >= 500)
      throw new ControlPlaneError("AcmeUnavailable", `the ACME server fails: ${problem.detail}`, 503, true, {
        retryAfterInSeconds,
      });
    if (problem.type !== "badNonce") throw new AcmeProblem(problem, status, retryAfterInSeconds);
  }
  const [, next] = /<([^<>]+)>\s*;\s*rel="next"/.exec(response.headers.get("link") ?? "") ?? [];
  const found = next === undefined ? text : { ...(parsed(text) as object), [NEXT]: next };
  return { status, statusText, headers: Object.fromEntries(response.headers), data: found, config };
};

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function problemOf(from: unknown): Problem | undefined {
  if (typeof from !== "object" || from === null) return undefined;
  const { type, detail } = from as { type?: unknown; detail?: unknown };
  if (typeof type !== "string") return undefined;
  return { type: type.replace(NAMESPACE, ""), detail: typeof detail === "string" ? detail : "without a reason" };
}

const pemOf = (label: string, der: Buffer): string =>
  `-----BEGIN ${label}-----\n${(der.toString("base64").match(/.{1,64}/g) ?? []).join("\n")}\n-----END ${label}-----\n`;
