/** Exchange Online's REST answers: error bodies, warnings, and the noise that comes with each object (research of the wire format). */
import { randomUUID } from "node:crypto";
import type { SimulatedResponse } from "../simulator.ts";

/**
 * A cmdlet that failed. `type` is the .NET exception, which clients classify on; the text is pipe-delimited behind it:
 * `|System.ArgumentException|The … parameter can only be …`.
 */
export class CmdletError extends Error {
  readonly type: string;
  readonly status: number;

  constructor(type: string, message: string, status = 400) {
    super(message);
    this.name = "CmdletError";
    this.type = type;
    this.status = status;
  }
}

export const BINDING = "System.Management.Automation.ParameterBindingException";
export const ARGUMENT = "System.ArgumentException";

export const notFound = (identity: string): CmdletError =>
  new CmdletError(
    "Microsoft.Exchange.Configuration.Tasks.ManagementObjectNotFoundException",
    `The operation couldn't be performed because object '${identity}' couldn't be found on 'WEUPR01A001DC01.EURPR01A001.PROD.OUTLOOK.COM'.`,
    404,
  );

export const alreadyExists = (kind: string, name: string): CmdletError =>
  new CmdletError(
    "Microsoft.Exchange.Data.Directory.ADObjectAlreadyExistsException",
    `The ${kind} "${name}" already exists. Choose another name.`,
  );

/** New organisations share Microsoft's default settings, and can't change some of them before they have their own. */
export const dehydrated = (): CmdletError =>
  new CmdletError(
    "Microsoft.Exchange.Management.Tasks.InvalidOperationInDehydratedContextException",
    "The command you tried to run isn't currently allowed in your organization. To run this command, you first need to run the command: Enable-OrganizationCustomization.",
  );

export function errorResponse(error: CmdletError, cmdlet: string | undefined): SimulatedResponse {
  const message = `|${error.type}|${error.message}`;
  return {
    status: error.status,
    headers: {
      "request-id": randomUUID(),
      "x-exceptiontype": error.type.slice(error.type.lastIndexOf(".") + 1),
      ...(cmdlet === undefined ? {} : { "cmdlet-name": cmdlet }),
    },
    body: {
      error: {
        code: error.status === 404 ? "NotFound" : error.status === 501 ? "NotImplemented" : "BadRequest",
        message,
        details: [{ code: "Context", target: "", message }],
        innererror: {
          message: "Error executing cmdlet",
          type: "Microsoft.Exchange.Admin.OData.Core.ODataServiceException",
          internalexception: { message, type: error.type },
        },
      },
    },
  };
}

/** Each object as it goes out: typed lists carry `@odata.type` beside them, which no reader of settings wants. */
export function withNoise(properties: Record<string, unknown>): Record<string, unknown> {
  const noisy: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(properties)) {
    if (Array.isArray(value)) noisy[`${name}@odata.type`] = "#Collection(String)";
    if (name === "Guid" || name.endsWith("Guid")) noisy[`${name}@odata.type`] = "#Guid";
    if (name.startsWith("WhenC")) noisy[`${name}@data.type`] = "System.DateTime";
    noisy[name] = value;
  }
  return noisy;
}
