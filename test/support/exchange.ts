/** Calls Exchange Online's REST endpoint by hand, as the research describes its wire format; deliberately not our own client. */
import { createCredentials } from "../../shared/entra/credentials.ts";
import type { TestClouds } from "./clouds.ts";

export interface ExchangeAnswer {
  status: number;
  headers: Headers;
  body: unknown;
}

export interface ExchangeCaller {
  /** The answer, whatever it is. */
  call(
    cmdlet: string,
    parameters?: Record<string, unknown>,
    options?: { headers?: Record<string, string>; query?: string },
  ): Promise<ExchangeAnswer>;
  /** Fails the test unless it is a 200. */
  run(cmdlet: string, parameters?: Record<string, unknown>): Promise<unknown>;
  list(cmdlet: string, parameters?: Record<string, unknown>): Promise<Record<string, unknown>[]>;
  readonly token: string;
}

/** Needs the organisation's consent. `settled` waits until it is in the token and the role has reached Exchange Online. */
export async function exchangeOf(clouds: TestClouds, tenantId: string, { settled = true } = {}): Promise<ExchangeCaller> {
  // A new credential each time: a cached token would keep the roles it had.
  const tokenNow = async (): Promise<string> =>
    (
      await createCredentials(clouds.environment, clouds.application)
        .inTenant(tenantId)
        .getToken(`${clouds.environment.exchange.audience}/.default`)
    )?.token ?? "";
  let token = await tokenNow();
  if (settled && clouds.platform.lag > 0) token = await tokenNow();

  async function call(
    cmdlet: string,
    parameters: Record<string, unknown> = {},
    { headers = {}, query = "" }: { headers?: Record<string, string>; query?: string } = {},
  ): Promise<ExchangeAnswer> {
    const response = await fetch(`${clouds.exchange}/adminapi/beta/${tenantId}/InvokeCommand${query}`, {
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json; charset=utf-8",
        "x-cmdletname": cmdlet,
        "x-anchormailbox": `APP:SystemMailbox{bb558c35-97f1-4cb9-8ff7-d53741dc928c}@${tenantId}`,
        ...headers,
      },
      body: JSON.stringify({ CmdletInput: { CmdletName: cmdlet, Parameters: parameters } }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
  }

  async function run(cmdlet: string, parameters: Record<string, unknown> = {}): Promise<unknown> {
    const { status, body } = await call(cmdlet, parameters);
    if (status !== 200) throw new Error(`${cmdlet} answered ${status}: ${JSON.stringify(body)}`);
    return body;
  }

  const looks = settled ? 2 * clouds.platform.lag : 0;
  for (let look = 0; look < looks; look += 1) await call("Get-AcceptedDomain");

  return {
    token,
    call,
    run,
    list: async (cmdlet, parameters = {}) => valueOf(await run(cmdlet, parameters)),
  };
}

/** The objects of an answer. */
export function valueOf(body: unknown): Record<string, unknown>[] {
  if (typeof body !== "object" || body === null || !("value" in body) || !Array.isArray(body.value))
    throw new Error("the answer has no value");
  return body.value.map((one: unknown) => ({ ...(typeof one === "object" ? one : {}) }));
}
