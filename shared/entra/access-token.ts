/** Reads what an access token that we were just given says about us. */
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";

const claimsSchema = z.looseObject({ tid: z.string(), aud: z.string().optional(), roles: z.array(z.string()).default([]) });

export interface AccessTokenClaims {
  /** The Entra tenant that issued it. */
  tenantId: string;
  /** App roles that were granted there. */
  roles: string[];
}

/** Decodes only: the token came straight from Entra over TLS, and we are not its audience. */
export function parseAccessToken(token: string): AccessTokenClaims {
  try {
    const { tid, roles } = claimsSchema.parse(JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8")));
    return { tenantId: tid.toLowerCase(), roles };
  } catch (cause) {
    throw new ControlPlaneError("TokenMalformed", "reading an access token that Entra gave us", 502, false, { cause });
  }
}
