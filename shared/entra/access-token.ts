/** Reads what an access token that we were just given says about us. */
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";

// `appid` in version 1.0 tokens, `azp` in 2.0.
const claimsSchema = z.looseObject({
  tid: z.string(),
  aud: z.string().optional(),
  roles: z.array(z.string()).default([]),
  appid: z.string().optional(),
  azp: z.string().optional(),
  oid: z.string().optional(),
});

export interface AccessTokenClaims {
  /** The Entra tenant that issued it. */
  tenantId: string;
  /** App roles that were granted there. */
  roles: string[];
  /** Client id of the application that it was issued to, and object id of its service principal there. */
  applicationId?: string | undefined;
  objectId?: string | undefined;
}

/** Decodes only: the token came straight from Entra over TLS, and we are not its audience. */
export function parseAccessToken(token: string): AccessTokenClaims {
  try {
    const { tid, roles, appid, azp, oid } = claimsSchema.parse(
      JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")),
    );
    return { tenantId: tid.toLowerCase(), roles, applicationId: (azp ?? appid)?.toLowerCase(), objectId: oid?.toLowerCase() };
  } catch (cause) {
    throw new ControlPlaneError("TokenMalformed", "reading an access token that Entra gave us", 502, false, { cause });
  }
}
