/** Tokens: what is not exactly Entra's, for us, in time, from an application's own tenant, is refused. */
import { randomUUID } from "node:crypto";
import { base64url } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { type Authenticate, createAuthentication } from "../../shared/api/authentication.ts";
import { systemClock } from "../../shared/clock.ts";
import { type SignOptions, startTokenIssuer, type TokenIssuer } from "../support/token-issuer.ts";

const pair = { tid: randomUUID(), azp: randomUUID() };
const findByClient = (tid: string, azp: string) =>
  Promise.resolve(tid === pair.tid && azp === pair.azp ? { partnerId: "northwind", displayName: "Northwind" } : undefined);

let issuer: TokenIssuer;
let authenticate: Authenticate;
const authentication = (from: TokenIssuer) =>
  createAuthentication({
    environment: from,
    applicationId: from.applicationId,
    homeTenantId: from.homeTenantId,
    partners: { findByClient },
    clock: systemClock,
  });
const withToken = async (claims: Record<string, unknown>, options?: SignOptions) =>
  authenticate(`Bearer ${await issuer.token({ ...pair, ...claims }, options)}`);
const seconds = () => Math.floor(Date.now() / 1000);

beforeAll(async () => {
  issuer = await startTokenIssuer();
  authenticate = authentication(issuer);
});
afterAll(() => issuer.stop());

test("a registered pair is its partner", async () => {
  expect(await withToken({})).toEqual({
    role: "Partner",
    partnerId: "northwind",
    displayName: "Northwind",
    entraTenantId: pair.tid,
    clientId: pair.azp,
  });
});

test("an operator is one by the role in a token of our own tenant", async () => {
  const azp = randomUUID();
  expect(await withToken({ tid: issuer.homeTenantId, azp, roles: ["Operator"] })).toEqual({
    role: "Operator",
    entraTenantId: issuer.homeTenantId,
    clientId: azp,
  });
});

test("a GUID in capitals is the same GUID", async () => {
  expect(await withToken({ tid: pair.tid.toUpperCase(), azp: pair.azp.toUpperCase() })).toMatchObject({ partnerId: "northwind" });
});

test("the role Operator from a partner's tenant is not believed", async () => {
  await expect(withToken({ roles: ["Operator"] })).rejects.toMatchObject({ code: "RoleRequired", status: 403 });
  expect(await withToken({ roles: ["Operator", "Partner"] })).toMatchObject({ role: "Partner" });
});

test("an unregistered pair is refused, and the message has the pair for the operator", async () => {
  const [tid, azp] = [randomUUID(), randomUUID()];
  await expect(withToken({ tid, azp })).rejects.toMatchObject({
    code: "PartnerUnknown",
    status: 403,
    message: expect.stringContaining(`${tid} and client (azp) ${azp}`),
  });
  await expect(withToken({ azp })).rejects.toMatchObject({ code: "PartnerUnknown" });
  await expect(withToken({ tid })).rejects.toMatchObject({ code: "PartnerUnknown" });
});

const refusals: Record<string, () => Promise<Record<string, unknown>> | Record<string, unknown>> = {
  "an expired token": () => ({ exp: seconds() - 61 }),
  "a token of the future": () => ({ nbf: seconds() + 120 }),
  "a token for another audience": () => ({ aud: randomUUID() }),
  "a token for our API's URI instead of its id": () => ({ aud: `api://${issuer.applicationId}` }),
  "a token whose tenant differs from its issuer's": () => ({ iss: `${issuer.authorityHost}/${randomUUID()}/v2.0` }),
  "a token of a foreign issuer": () => ({ iss: `https://login.example/${pair.tid}/v2.0` }),
  "a token of version 1": () => ({ iss: `https://sts.windows.net/${pair.tid}/`, azp: undefined, appid: pair.azp }),
  "a person's token": () => ({ idtyp: "user" }),
  "a token without a kind": () => ({ idtyp: undefined }),
  "a token without a client": () => ({ azp: undefined }),
  "a token without a tenant": () => ({ tid: undefined }),
  "a token without an end": () => ({ exp: undefined }),
  "a token without a beginning": () => ({ nbf: undefined }),
  "a token whose tenant is no GUID": () => ({ tid: "../common", iss: `${issuer.authorityHost}/../common/v2.0` }),
};

test.each(Object.entries(refusals))("%s is refused", async (_what, claims) => {
  await expect(withToken(await claims())).rejects.toMatchObject({ code: "TokenInvalid", status: 401 });
});

test("a token within the clock's tolerance is taken", async () => {
  expect(await withToken({ exp: seconds() - 30 })).toMatchObject({ role: "Partner" });
});

test("an unsigned token is refused", async () => {
  const [, payload] = (await issuer.token(pair)).split(".");
  const header = base64url.encode(JSON.stringify({ alg: "none", typ: "JWT" }));
  for (const signature of ["", base64url.encode("x")]) {
    await expect(authenticate(`Bearer ${header}.${payload}.${signature}`)).rejects.toMatchObject({ code: "TokenInvalid" });
  }
});

test("a token signed with the public key as an HMAC secret is refused", async () => {
  const key = new TextEncoder().encode(await issuer.publicKeyPem());
  await expect(withToken({}, { header: { alg: "HS256" }, key })).rejects.toMatchObject({ code: "TokenInvalid" });
});

test.each(["RS512", "PS256"])(
  "a token of the right key with the algorithm %s is refused: Entra signs with RS256",
  async (alg) => {
    await expect(withToken({}, { header: { alg }, key: await issuer.keyFor(alg) })).rejects.toMatchObject({
      code: "TokenInvalid",
    });
  },
);

test("a token with a changed claim is refused", async () => {
  const [header, payload = "", signature] = (await issuer.token(pair)).split(".");
  const claims = { ...JSON.parse(Buffer.from(payload, "base64url").toString()), roles: ["Operator"], tid: issuer.homeTenantId };
  const changed = base64url.encode(JSON.stringify(claims));
  await expect(authenticate(`Bearer ${header}.${changed}.${signature}`)).rejects.toMatchObject({ code: "TokenInvalid" });
});

test("a token of an unknown key is refused", async () => {
  const stranger = await startTokenIssuer();
  const token = await stranger.token({ ...pair, aud: issuer.applicationId, iss: `${issuer.authorityHost}/${pair.tid}/v2.0` });
  await stranger.stop();
  await expect(authenticate(`Bearer ${token}`)).rejects.toMatchObject({ code: "TokenInvalid" });
});

test.each([null, "", "Bearer", "Bearer a b", "Basic dXNlcjpwYXNz", "Bearer not.a.token", "Bearer x"])(
  "an Authorization header of %j is refused",
  async (header) => {
    await expect(authenticate(header)).rejects.toMatchObject({ code: "TokenInvalid", status: 401 });
  },
);

test("no refusal repeats the token", async () => {
  const token = await issuer.token({ ...pair, aud: "other" });
  const error: unknown = await authenticate(`Bearer ${token}`).catch((reason: unknown) => reason);
  expect(error instanceof Error && error.message).not.toContain(token.slice(0, 20));
});

test("a key that is another issuer's may not sign for this one", async () => {
  const own = await startTokenIssuer();
  own.publish({ issuer: `${own.authorityHost}/${randomUUID()}/v2.0` });
  await expect(authentication(own)(`Bearer ${await own.token(pair)}`)).rejects.toMatchObject({ code: "TokenInvalid" });
  own.publish({ issuer: `${own.authorityHost}/{tenantid}/v2.0` });
  expect(await authentication(own)(`Bearer ${await own.token(pair)}`)).toMatchObject({ role: "Partner" });
  await own.stop();
});

test("when the key set can't be read any more, the keys that were read stay good", async () => {
  const own = await startTokenIssuer();
  const authenticateOwn = authentication(own);
  const token = await own.token({ ...pair, exp: seconds() + 5 * 24 * 3600 });
  expect(await authenticateOwn(`Bearer ${token}`)).toMatchObject({ role: "Partner" });
  await own.stop();
  // Two days later what was read is too old to use without asking again, and nobody answers.
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 2 * 24 * 3600 * 1000 });
  try {
    expect(await authenticateOwn(`Bearer ${token}`)).toMatchObject({ role: "Partner" });
  } finally {
    vi.useRealTimers();
  }
});

test("before the key set could be read once, the caller is told to come again", async () => {
  const own = await startTokenIssuer();
  const token = await own.token(pair);
  await own.stop();
  await expect(authentication(own)(`Bearer ${token}`)).rejects.toMatchObject({ code: "ServiceUnavailable", status: 503 });
});

describe("a token that was taken before", () => {
  const MINUTE = 60_000;
  let now = Date.now();
  let partners: Record<string, string> = {};
  let remembering: Authenticate;
  beforeEach(() => {
    now = Date.now();
    partners = { [pair.azp]: "northwind" };
    remembering = createAuthentication({
      environment: issuer,
      applicationId: issuer.applicationId,
      homeTenantId: issuer.homeTenantId,
      partners: {
        findByClient: (_tid, azp) => {
          const partnerId = partners[azp];
          return Promise.resolve(partnerId === undefined ? undefined : { partnerId, displayName: partnerId });
        },
      },
      clock: { now: () => now },
    });
  });

  test("is taken again, and refused once it has expired", async () => {
    const exp = Math.floor(now / 1000) + 120;
    const authorization = `Bearer ${await issuer.token({ ...pair, exp })}`;
    const first = await remembering(authorization);
    expect(await remembering(authorization)).toEqual(first);
    now += 4 * MINUTE;
    await expect(remembering(authorization)).rejects.toMatchObject({ code: "TokenInvalid" });
  });

  test("stands for whoever the partner is now", async () => {
    const authorization = `Bearer ${await issuer.token(pair)}`;
    await remembering(authorization);
    partners = {};
    await expect(remembering(authorization)).rejects.toMatchObject({ code: "PartnerUnknown" });
  });

  test("opens nothing for one that differs in a character", async () => {
    const token = await issuer.token(pair);
    await remembering(`Bearer ${token}`);
    const middle = token.lastIndexOf(".") + 20;
    const changed = token.slice(0, middle) + (token[middle] === "A" ? "B" : "A") + token.slice(middle + 1);
    await expect(remembering(`Bearer ${changed}`)).rejects.toMatchObject({ code: "TokenInvalid" });
  });

  test("is one of many: each stays its own caller's", async () => {
    const azps = Array.from({ length: 5 }, () => randomUUID());
    partners = Object.fromEntries(azps.map((azp, index) => [azp, `partner-${index}`]));
    const tokens = await Promise.all(azps.map((azp) => issuer.token({ ...pair, azp })));
    const seen = [];
    for (const token of [...tokens, ...tokens]) seen.push((await remembering(`Bearer ${token}`)).clientId);
    expect(seen).toEqual([...azps, ...azps]);
  });
});
