/** Microsoft's own poller for long-running operations, unmodified, drives an operation of ours to its end. */
import { randomUUID } from "node:crypto";
import { createHttpPoller, type OperationResponse } from "@azure/core-lro";
import { afterAll, beforeAll, expect, test } from "vitest";
import { operationBody } from "../../shared/api/bodies.ts";
import { operationHeaders } from "../../shared/api/endpoint.ts";
import { apiVersion } from "../../shared/api/routes.ts";
import { startApi, type TestApi, type TestPartner } from "../support/api.ts";

let api: TestApi;
let partner: TestPartner;
beforeAll(async () => {
  api = await startApi();
  partner = await api.partner();
});
afterAll(() => api.stop());

const begin = async () => {
  const { operations } = api.world.stores;
  const { operation } = await operations.create({
    partnerId: partner.partnerId,
    tenantId: "contoso",
    id: randomUUID(),
    kind: "onboarding",
    requestHash: "hash",
    steps: [{ name: "consent", title: "Admin consent", branch: "access" }],
  });
  return {
    operation,
    record: (change: Parameters<typeof operations.recordProgress>[2]) =>
      operations.recordProgress(partner.partnerId, operation.id, change),
  };
};

type Begun = Awaited<ReturnType<typeof begin>>;

/** `afterPoll` sets the world forward after each look. */
const pollerOf = ({ operation }: Begun, afterPoll: (polls: number) => Promise<unknown>) => {
  let polls = 0;
  const raw = (
    statusCode: number,
    headers: Record<string, string>,
    body: unknown,
    method: string,
    url: string,
  ): OperationResponse => ({
    flatResponse: body,
    rawResponse: { statusCode, headers, body, request: { method, url } },
  });
  const started = `${api.url}/api/tenants/contoso/onboard?api-version=${apiVersion}`;
  return createHttpPoller(
    {
      sendInitialRequest: () =>
        Promise.resolve(
          raw(
            202,
            operationHeaders(api.world, operation.id, apiVersion, 0),
            operationBody(operation, api.world.settings.publicUrl),
            "POST",
            started,
          ),
        ),
      sendPollRequest: async (url) => {
        const response = await fetch(url, { headers: { authorization: `Bearer ${partner.token}` } });
        // The waits are ours to shorten: what matters is that the header is there and is obeyed.
        const headers = {
          ...Object.fromEntries(response.headers),
          ...(response.headers.has("retry-after") ? { "retry-after": "0" } : {}),
        };
        const body: unknown = await response.json();
        polls += 1;
        await afterPoll(polls);
        return raw(response.status, headers, body, "GET", url);
      },
    },
    { intervalInMs: 1 },
  );
};

test("an operation that goes on, waits and succeeds gives its end", async () => {
  const begun = await begin();
  const seen: string[] = [];
  const poller = pollerOf(begun, async (polls) => {
    if (polls === 1)
      await begun.record({
        status: "Running",
        waitingFor: { kind: "consent", url: "https://login.example/adminconsent", message: "an administrator has to consent" },
      });
    if (polls === 3) await begun.record({ status: "Succeeded", waitingFor: null, result: { stage: "pilot" } });
  });
  poller.onProgress(({ status }) => void seen.push(status));
  expect(await poller.pollUntilDone()).toMatchObject({ status: "Succeeded", percentComplete: 100, result: { stage: "pilot" } });
  expect([seen.at(0), seen.at(-1)]).toEqual(["running", "succeeded"]);
});

test("an operation that fails gives its error", async () => {
  const begun = await begin();
  const poller = pollerOf(begun, async () =>
    begun.record({ status: "Failed", error: { code: "DomainNotVerified", message: "contoso.example is not verified" } }),
  );
  await expect(poller.pollUntilDone()).rejects.toThrow(/contoso\.example is not verified/);
});
