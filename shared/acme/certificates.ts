/**
 * Mission B15: certificates that the deployment's ACME server signs. Their keys are made in the tenant's vault and stay there: the vault gives
 * out a request, the server is shown by a TXT record that the name is ours, and what it signs is merged in the vault.
 *
 * An order is driven by looks at the vault's pending operation, each of which goes as far as it can without waiting. Where it is stands in
 * table `acmeorders`, written before each effect, so that a look which comes twice, late or after a crash goes on with the same order.
 */
import type { Azure, Polled } from "../azure/client.ts";
import type { Clock } from "../clock.ts";
import type { Authorities } from "../dns/authorities.ts";
import { ControlPlaneError } from "../errors.ts";
import type { Begun } from "../resources/resource.ts";
import type { AcmeOrders, AcmeOrderStore } from "../stores/acme-orders.ts";
import type { CertificateOrder, Certificates } from "../vault/certificates.ts";
import { challengeName, publishChallenge, withdrawChallenge } from "./challenge-record.ts";
import { type AcmeOrder, AcmeProblem, type AcmeServer, type Problem } from "./server.ts";

export interface AcmeCertificates extends Certificates {
  /** Takes away the TXT records that an order has left behind which nobody follows any more; gives how many. */
  withdrawLeftBehind(): Promise<number>;
}

export interface AcmeCertificatesOptions {
  certificates: Certificates;
  /** Without one every order is refused. */
  server: AcmeServer | undefined;
  azure: Azure;
  authorities: Pick<Authorities, "texts">;
  orders: AcmeOrderStore;
  clock: Clock;
  checkEveryInSeconds: number;
}

const HOUR = 3600 * 1000;
const WEEK = 7 * 24 * HOUR;
/** Let's Encrypt's limits are 5 failed validations of a name an hour, and 5 certificates for the same names a week: one less and as many. */
const MOST_FAILED_AN_HOUR = 4;
const MOST_ISSUED_A_WEEK = 5;
/** Whoever makes an order has an answer by then, or has died. */
const MAKING_TAKES_AT_MOST = 60_000;
/** Name servers of a zone agree within seconds. */
const RECORD_SEEN_WITHIN = 20 * 60_000;
/** What the server wants waited longer than so is waited for by nobody: the next sweep tries again. */
const LONGEST_WAIT_IN_SECONDS = 600;
const LEFT_BEHIND_AFTER = 2 * HOUR;
/** From an order that doesn't exist to a record that is seen, and from one that is ready to the certificate. */
const MOST_STEPS = 6;

export function withAcme({
  certificates,
  server,
  azure,
  authorities,
  orders,
  clock,
  checkEveryInSeconds,
}: AcmeCertificatesOptions): AcmeCertificates {
  const running = (retryAfterInSeconds = checkEveryInSeconds): Polled => ({ status: "running", retryAfterInSeconds });
  const iso = (): string => new Date(clock.now()).toISOString();
  type Driven = CertificateOrder & { zoneId: string };
  type Asked = Driven & { server: AcmeServer; request: Buffer };
  const changed = ({ owner }: CertificateOrder, decide: Parameters<AcmeOrderStore["change"]>[2]): Promise<AcmeOrders> =>
    orders.change(owner.partnerId, owner.tenantId, decide);

  /** One step of an order; undefined where the next one can be taken at once. */
  async function advance(asked: Asked): Promise<Polled | undefined> {
    const { server: asking, name } = asked;
    const row = await orders.get(asked.owner.partnerId, asked.owner.tenantId);
    const { order } = row;
    if (order !== undefined && (order.directoryUrl !== asking.directoryUrl || order.name !== name)) {
      await changed(asked, () => ({ order: undefined }));
      return undefined;
    }
    if (order?.url === undefined) return ordered(asked, row);
    const found = await asking.look(order.url).catch((error: unknown) => {
      if (error instanceof AcmeProblem && error.status === 404) return undefined;
      throw error;
    });
    if (found !== undefined) return driven(asked, found, row);
    // The server keeps an order for days only.
    await ended(asked, "failed");
    return undefined;
  }

  /** What is about to be made is written first. Where that was done and no answer came, the server may list what it made. */
  async function ordered(asked: Asked, { order, ...row }: AcmeOrders): Promise<Polled | undefined> {
    const { server: asking, name } = asked;
    if (order !== undefined && order.lost === undefined && clock.now() - Date.parse(order.at) < MAKING_TAKES_AT_MOST)
      return running();
    const made = { directoryUrl: asking.directoryUrl, name, at: iso() };
    if (order === undefined) requireRoom(row, clock.now());
    let first = false;
    await changed(asked, (known) => {
      first = known.order?.at === order?.at && known.order?.url === undefined;
      return first ? { order: made } : undefined;
    });
    if (!first) return running();
    try {
      const url = (order && (await asking.openOrder(name))) ?? (await asking.order(name));
      await changed(asked, (known) => (known.order?.at === made.at ? { order: { ...made, url } } : undefined));
      return undefined;
    } catch (error) {
      if (error instanceof AcmeProblem && error.type !== "rateLimited") await ended(asked, "failed");
      else await changed(asked, () => ({ order: error instanceof AcmeProblem ? undefined : { ...made, lost: true } }));
      throw error;
    }
  }

  async function driven(asked: Asked, found: AcmeOrder, row: AcmeOrders): Promise<Polled | undefined> {
    const { status, challenge, problem } = found;
    if (status === "pending" && challenge?.status === "pending") return proven(asked, challenge, row);
    if (status === "pending" || status === "processing") return running();
    if (status === "ready") {
      await asked.server.finalize(found, asked.request);
      return undefined;
    }
    if (status === "invalid") {
      await ended(asked, "failed");
      throw refusalOf(problem ?? { type: "", detail: "the order became invalid" });
    }
    await certificates.merge(asked, await asked.server.chain(found)).catch(async (error: unknown) => {
      // For another key: somebody has given up the vault's order meanwhile.
      if (error instanceof ControlPlaneError && !error.transient) await ended(asked, "failed");
      throw error;
    });
    await ended(asked, "issued");
    return { status: "succeeded" };
  }

  async function proven(asked: Asked, challenge: NonNullable<AcmeOrder["challenge"]>, { record }: AcmeOrders): Promise<Polled> {
    const { entraTenantId, zoneId, name, owner } = asked;
    const since = record?.at ?? iso();
    await changed(asked, () => ({ record: { entraTenantId, zoneId, name, at: since } }));
    await publishChallenge(azure, { owner, entraTenantId, zoneId, name }, challenge.text);
    const seen = await authorities.texts(challengeName(name));
    if (seen.state === "present" && seen.actual.includes(challenge.text)) {
      await asked.server.answer(challenge.url);
      return running();
    }
    if (clock.now() - Date.parse(since) < RECORD_SEEN_WITHIN) return running();
    throw new ControlPlaneError(
      "AcmeRecordUnseen",
      `the record ${challengeName(name)} was published in the zone that the spec names, and the name servers of ${name} don't have it: is the zone delegated to Azure DNS?`,
      409,
    );
  }

  /** Nobody has to see the record any more. */
  async function ended(order: CertificateOrder, how: "issued" | "failed"): Promise<void> {
    await withdrawn(order);
    await changed(order, ({ order: known, ended: before }) => ({
      order: undefined,
      ended:
        known === undefined ? before : [...before.filter(({ at }) => Date.parse(at) > clock.now() - WEEK), { at: iso(), how }],
    }));
  }

  async function withdrawn({ owner }: Pick<CertificateOrder, "owner">): Promise<void> {
    const { record } = await orders.get(owner.partnerId, owner.tenantId);
    if (record === undefined) return;
    await withdrawChallenge(azure, { owner, ...record });
    await orders.change(owner.partnerId, owner.tenantId, (known) =>
      known.record?.at === record.at ? { record: undefined } : undefined,
    );
  }

  async function poll(order: Driven, plain: { entraTenantId: string; operationUrl: string }): Promise<Polled> {
    const request = await certificates.request(order);
    if (request === undefined || request === "completed") {
      // Whoever merged it died before he could say so; or somebody has given up the vault's order, and the server's waits for the next.
      await (request === undefined ? withdrawn(order) : ended(order, "issued"));
      return certificates.pollOperation(plain);
    }
    try {
      const asked = { ...order, server: required(server), request };
      const names = await asked.server.namesIn(request);
      if (names.length !== 1 || names[0] !== order.name) {
        await certificates.discard(order);
        return { status: "succeeded" };
      }
      for (let step = 0; step < MOST_STEPS; step++) {
        const polled = await advance(asked);
        if (polled) return polled;
      }
      return running();
    } catch (error) {
      return refused(order, error);
    }
  }

  /** What will not get better by waiting ends here, and leaves neither a record nor an order in the vault, which would keep imports out. */
  async function refused(order: CertificateOrder, error: unknown): Promise<Polled> {
    if (error instanceof AcmeProblem && error.type === "orderNotReady") return running();
    const limited = error instanceof AcmeProblem && error.type === "rateLimited";
    const wait = limited ? (error.retryAfterInSeconds ?? HOUR / 1000) : 0;
    if (limited) {
      await changed(order, () => ({ notBefore: new Date(clock.now() + wait * 1000).toISOString() }));
      if (wait <= LONGEST_WAIT_IN_SECONDS) return running(wait);
    }
    const refusal = error instanceof AcmeProblem ? refusalOf(error, true) : error;
    if (!(refusal instanceof ControlPlaneError) || refusal.transient) throw error;
    await withdrawn(order);
    await certificates.discard(order);
    return { status: "failed", error: { code: refusal.code, message: refusal.message } };
  }

  return {
    ...certificates,
    acmeDirectory: server?.directoryUrl,
    async begin(order, policy, tags) {
      if (order.acme === undefined) return certificates.begin(order, policy, tags);
      required(server);
      const known = await orders.get(order.owner.partnerId, order.owner.tenantId);
      if (known.order === undefined) requireRoom(known, clock.now());
      const begun = await certificates.begin(order, policy, tags);
      return begun.state === "begun" ? followed(order, begun) : begun;
    },
    resume: (order) => followed(order, certificates.resume(order)),
    ownsOperation: (operationUrl) => certificates.ownsOperation(operationUrl.split("?")[0] ?? ""),
    async pollOperation({ entraTenantId, operationUrl }) {
      const [plain = "", query] = operationUrl.split("?");
      const of = { entraTenantId, operationUrl: plain };
      return query === undefined ? certificates.pollOperation(of) : poll(orderIn(of, query), of);
    },
    async withdrawLeftBehind() {
      const old = (await orders.all()).filter(
        ({ record }) => record !== undefined && clock.now() - Date.parse(record.at) > LEFT_BEHIND_AFTER,
      );
      for (const { partnerId, tenantId } of old) await withdrawn({ owner: { partnerId, tenantId } });
      return old.length;
    },
  };
}

/** Where it stands says what it is about, so that each look needs nothing else. */
const followed = ({ acme, owner, name }: CertificateOrder, begun: Begun): Begun =>
  acme === undefined
    ? begun
    : {
        ...begun,
        operationUrl: `${begun.operationUrl}?${new URLSearchParams({ zone: acme.zoneId, name, partner: owner.partnerId, tenant: owner.tenantId }).toString()}`,
      };

function orderIn({ entraTenantId, operationUrl }: { entraTenantId: string; operationUrl: string }, query: string) {
  const said = new URLSearchParams(query);
  const [certificate = "", , ...rest] = operationUrl.split("/").slice(0, -1).toReversed();
  return {
    entraTenantId,
    vaultUrl: rest.toReversed().join("/"),
    certificate,
    name: said.get("name") ?? "",
    owner: { partnerId: said.get("partner") ?? "", tenantId: said.get("tenant") ?? "" },
    zoneId: said.get("zone") ?? "",
  };
}

function required(server: AcmeServer | undefined): AcmeServer {
  if (server) return server;
  throw new ControlPlaneError(
    "AcmeNotConfigured",
    "gateway.certificate.acme needs an ACME server, and this deployment has none (setting ACME_DIRECTORY)",
    409,
    false,
    { target: "gateway.certificate.acme" },
  );
}

/** So that no failure makes a loop of orders, whoever tries again. */
function requireRoom({ ended, notBefore }: Pick<AcmeOrders, "ended" | "notBefore">, now: number): void {
  const limited = (why: string, until: number): ControlPlaneError =>
    new ControlPlaneError("AcmeLimited", `${why}; there will be no new one before ${new Date(until).toISOString()}`, 429);
  if (notBefore !== undefined && Date.parse(notBefore) > now)
    throw limited("the ACME server takes no orders of ours for a while", Date.parse(notBefore));
  const times = (how: "issued" | "failed", within: number): number[] =>
    ended.filter((one) => one.how === how && Date.parse(one.at) > now - within).map(({ at }) => Date.parse(at));
  const failed = times("failed", HOUR);
  if (failed.length >= MOST_FAILED_AN_HOUR)
    throw limited("orders of this certificate failed in the last hour", Math.min(...failed) + HOUR);
  const issued = times("issued", WEEK);
  if (issued.length >= MOST_ISSUED_A_WEEK)
    throw limited("this certificate was issued as often in a week as authorities allow", Math.min(...issued) + WEEK);
}

const OF_THE_ACCOUNT = new Set([
  "unauthorized",
  "accountDoesNotExist",
  "externalAccountRequired",
  "userActionRequired",
  "invalidContact",
  "unsupportedContact",
  "badPublicKey",
]);

/** @param ofRequest the server refused a request; else it has judged the name */
function refusalOf({ type, detail }: Problem, ofRequest = false): ControlPlaneError {
  const said = `${type}: ${detail}`;
  if (ofRequest && type === "rateLimited")
    return new ControlPlaneError("AcmeLimited", `the ACME server takes no orders of ours for a while: ${said}`, 429);
  if (ofRequest && OF_THE_ACCOUNT.has(type))
    return new ControlPlaneError("AcmeAccountRefused", `the ACME server refuses this deployment's account: ${said}`, 409);
  return new ControlPlaneError("AcmeRefused", `the ACME server refuses the certificate: ${said}`, 409, false, {
    target: "gateway.certificate.name",
  });
}
