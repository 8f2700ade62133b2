/** Client secrets of an application: added (shown once), listed, removed. Source: Microsoft Graph, "application: addPassword". */
import * as z from "zod";
import { ControlPlaneError } from "../errors.ts";
import { type Graph, nothing, segment } from "./client.ts";

/** A client secret as Entra lists it: never its text. */
export interface ListedPassword {
  keyId: string;
  displayName: string | null;
  /** ISO 8601. */
  startDateTime: string | null;
  endDateTime: string | null;
}

export interface ApplicationPasswords {
  /** Not idempotent: each call makes one more, and this answer is the only one that ever has its text. */
  add(
    organization: string,
    objectId: string,
    wanted: { displayName: string; endDateTime: string },
  ): Promise<{ keyId: string; secretText: string }>;
  list(organization: string, objectId: string): Promise<ListedPassword[]>;
  /** Gone already counts as done. */
  remove(organization: string, objectId: string, keyId: string): Promise<void>;
}

const addedSchema = z.looseObject({ keyId: z.string(), secretText: z.string() });
const applicationSchema = z.looseObject({
  passwordCredentials: z.array(
    z.looseObject({
      keyId: z.string(),
      displayName: z.string().nullish(),
      startDateTime: z.string().nullish(),
      endDateTime: z.string().nullish(),
    }),
  ),
});

export function createApplicationPasswords(graph: Graph): ApplicationPasswords {
  const list: ApplicationPasswords["list"] = async (organization, objectId) => {
    const path = `/applications/${segment(objectId)}?$select=passwordCredentials`;
    const { passwordCredentials } = await graph.get(organization, path, applicationSchema).catch(notReplicated);
    return passwordCredentials.map(({ keyId, displayName = null, startDateTime = null, endDateTime = null }) => ({
      keyId,
      displayName,
      startDateTime,
      endDateTime,
    }));
  };
  return {
    list,
    add: (organization, objectId, passwordCredential) =>
      graph
        .post(organization, `/applications/${segment(objectId)}/addPassword`, { passwordCredential }, addedSchema)
        .catch(notReplicated)
        .catch(forbidden),
    remove: async (organization, objectId, keyId) => {
      const known = await list(organization, objectId);
      if (!known.some((password) => password.keyId === keyId)) return;
      await graph.post(organization, `/applications/${segment(objectId)}/removePassword`, { keyId }, nothing);
    },
  };
}

/** Each replica of the directory finds a fresh application by its id in its own time, so that one look may miss what another saw. */
function notReplicated(error: unknown): never {
  if (error instanceof ControlPlaneError && error.code === "GraphNotFound")
    throw new ControlPlaneError("ResourceSettling", "Microsoft Graph does not find the application by its id (yet)", 503, true, {
      cause: error,
    });
  throw error;
}

/** By the codes of Graph's refusals. Source: "Microsoft Entra application management policies overview". */
const policies: [code: string, ours: string, message: string][] = [
  [
    "CredentialTypeNotAllowedAsPerAppPolicy",
    "ClientSecretForbidden",
    "an app management policy of the customer's Entra tenant forbids client secrets; its administrator exempts the application",
  ],
  [
    "CredentialInvalidLifetimeAsPerAppPolicy",
    "ClientSecretLifetimeForbidden",
    "an app management policy of the customer's Entra tenant forbids client secrets that live as long; its administrator exempts the application, or the operator shortens CLIENT_SECRET_LIFETIME",
  ],
];

function forbidden(cause: unknown): never {
  const refused = policies.find(([code]) => cause instanceof ControlPlaneError && cause.message.includes(code));
  if (!refused) throw cause;
  const [, code, message] = refused;
  throw new ControlPlaneError(code, message, 409, false, { cause });
}
