/** What our application is and may do in an organisation's Exchange Online, as Exchange itself tells it. */
import { randomUUID } from "node:crypto";
import * as z from "zod";
import { parseAccessToken } from "../entra/access-token.ts";
import { ControlPlaneError } from "../errors.ts";
import { exchangeFailure, refusalIn } from "./failures.ts";
import { malformed, type Wire } from "./wire.ts";

export interface OwnPrincipal {
  applicationId: string;
  /** Of our service principal in the organisation's Entra tenant, not of the application. */
  objectId: string;
}

export interface OwnAccess {
  /** From the token: Entra says it of us, so nobody has to be asked. */
  ourselves(organization: string): Promise<OwnPrincipal>;
  /** Names of the cmdlets that our application may run there. Throws when it can't be told. */
  allowedCmdlets(organization: string): Promise<string[]>;
}

/** What Microsoft's own module downloads when it connects: a module with exactly the cmdlets that the caller may run. */
const MODULE = "EXOModuleFile?Version=3.9.2";

const moduleSchema = z.looseObject({ value: z.array(z.looseObject({ exportedCmdlets: z.string().nullish() })).min(1) });

export const createOwnAccess = (wire: Wire): OwnAccess => ({
  ourselves: async (organization) => {
    const { applicationId, objectId } = parseAccessToken(await wire.token(organization));
    if (!applicationId || !objectId)
      throw new ControlPlaneError(
        "TokenMalformed",
        `the token for the organisation ${organization} does not say who we are`,
        502,
      );
    return { applicationId, objectId };
  },
  allowedCmdlets: async (organization) => {
    const doing = `reading which cmdlets our application may run in the organisation ${organization}`;
    const { status, headers, text } = await wire.get({
      organization,
      doing,
      url: wire.url(organization, MODULE),
      headers: { Accept: "application/json", CommandName: "*" },
      requestId: randomUUID(),
    });
    const body: unknown = headers.get("content-type")?.includes("json") ? JSON.parse(text) : undefined;
    if (status !== 200) throw exchangeFailure(doing, status, refusalIn(body, headers.get("x-exceptiontype")), undefined);
    const parsed = moduleSchema.safeParse(body);
    if (!parsed.success) throw malformed(doing, "lacks the list of cmdlets", parsed.error);
    return parsed.data.value.flatMap(({ exportedCmdlets }) =>
      (exportedCmdlets ?? "")
        .split(",")
        .map((name) => name.trim())
        .filter((name) => name !== ""),
    );
  },
});
