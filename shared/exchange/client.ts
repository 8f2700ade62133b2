/** Exchange Online by InvokeCommand, which runs any cmdlet that our role allows: the interface that its own PowerShell module speaks. */
import { randomUUID } from "node:crypto";
import type { Credentials } from "../entra/credentials.ts";
import type { CloudEnvironment } from "../environment.ts";
import { ControlPlaneError } from "../errors.ts";
import { observing } from "../resources/observing.ts";
import type { Observed } from "../resources/resource.ts";
import { type Page, pageIn, resultsIn } from "./answers.ts";
import { type Read, type ReadResults, readTogether } from "./batch.ts";
import type { Cmdlet, CmdletParameters, CmdletResult, ReadCmdlet, WriteCmdlet } from "./cmdlets.ts";
import { encodeParameters } from "./encoding.ts";
import { createOwnAccess, type OwnAccess } from "./own-access.ts";
import { cmdletHeaders, createWire, malformed } from "./wire.ts";

export interface Exchange extends OwnAccess {
  /** The first object that matches; a failed read is `unknown`. */
  get<C extends ReadCmdlet>(organization: string, cmdlet: C, parameters: CmdletParameters[C]): Promise<Observed<CmdletResult<C>>>;
  /** All that match, over all pages; none when Exchange knows no such object; throws when the read failed. */
  list<C extends ReadCmdlet>(organization: string, cmdlet: C, parameters: CmdletParameters[C]): Promise<CmdletResult<C>[]>;
  /** Several reads in one request, each present (all that match) or unknown for itself; never throws for what Exchange answers. */
  readTogether<Reads extends Record<string, Read>>(organization: string, reads: Reads): Promise<ReadResults<Reads>>;
  /**
   * Runs a cmdlet that changes something; gives what it answered first, if anything. `ExchangeOutcomeUnknown` means that it may have
   * happened although its answer was lost: read back, then decide. What is gone already counts as removed.
   */
  run<C extends WriteCmdlet>(
    organization: string,
    cmdlet: C,
    parameters: CmdletParameters[C],
  ): Promise<CmdletResult<C> | undefined>;
  /** Like `run`, for cmdlets that answer with a list. */
  runAll<C extends WriteCmdlet>(organization: string, cmdlet: C, parameters: CmdletParameters[C]): Promise<CmdletResult<C>[]>;
}

export interface ExchangeOptions {
  environment: CloudEnvironment;
  credentials: Credentials;
  fetch?: typeof fetch;
  /** Configuration cmdlets answer within seconds; after this the outcome counts as unknown. */
  timeoutInSeconds?: number;
  /** Hears what Exchange said beside doing what it was told. */
  warned?(warning: { organization: string; cmdlet: Cmdlet; warning: string }): void;
}

const MOST_PAGES = 100;

export function createExchange({
  environment,
  credentials,
  fetch: send = fetch,
  timeoutInSeconds = 120,
  warned = () => undefined,
}: ExchangeOptions): Exchange {
  const wire = createWire({ environment, credentials, send, timeoutInSeconds });

  async function invoke<C extends Cmdlet>(
    organization: string,
    cmdlet: C,
    parameters: CmdletParameters[C],
  ): Promise<CmdletResult<C>[]> {
    const doing = `${cmdlet} in the organisation ${organization}`;
    const question = { doing, reads: reads(cmdlet), secrets: wordsIn(parameters) };
    const asked = {
      organization,
      doing,
      reads: question.reads,
      headers: cmdletHeaders(organization, cmdlet),
      body: JSON.stringify({ CmdletInput: { CmdletName: cmdlet, Parameters: parametersOf(cmdlet, parameters) } }),
      requestId: randomUUID(),
    };
    const objects: unknown[] = [];
    let url: string | undefined = wire.url(organization, "InvokeCommand");
    for (let pages = 0; url !== undefined; pages++) {
      if (pages === MOST_PAGES) throw malformed(doing, "goes on for more pages than there can be");
      // The same body again: the page is in the link.
      const { value, nextLink, warnings }: Page = pageIn(await wire.post({ ...asked, url }), question);
      objects.push(...value);
      for (const warning of warnings) warned({ organization, cmdlet, warning });
      url = nextLink === undefined ? undefined : wire.followable(nextLink, doing);
    }
    return resultsIn(cmdlet, objects, doing);
  }

  /** A cached token still carries the old roles: the next try asks for a new one. */
  const forgettingRoles =
    (organization: string) =>
    (error: unknown): never => {
      if (codeOf(error) === "ExchangeRoleMissing") credentials.forget(organization);
      throw error;
    };

  async function list<C extends ReadCmdlet>(
    organization: string,
    cmdlet: C,
    parameters: CmdletParameters[C],
  ): Promise<CmdletResult<C>[]> {
    try {
      return await invoke(organization, cmdlet, parameters).catch(forgettingRoles(organization));
    } catch (error) {
      if (codeOf(error) === "ExchangeObjectNotFound") return [];
      throw error;
    }
  }

  async function runAll<C extends WriteCmdlet>(
    organization: string,
    cmdlet: C,
    parameters: CmdletParameters[C],
  ): Promise<CmdletResult<C>[]> {
    try {
      return await invoke(organization, cmdlet, parameters).catch(forgettingRoles(organization));
    } catch (error) {
      // A removal whose answer was lost is tried again, and a replica that lags behind still shows what it removed.
      if (codeOf(error) === "ExchangeObjectNotFound" && cmdlet.startsWith("Remove-")) return [];
      // New tenants share Microsoft's default settings until the first change; the switch is thrown once and settles in minutes.
      if (codeOf(error) === "ExchangeOrganizationDehydrated" && cmdlet !== "Enable-OrganizationCustomization")
        await invoke(organization, "Enable-OrganizationCustomization", {}).catch(unlessAlreadyEnabled);
      throw error;
    }
  }

  return {
    ...createOwnAccess(wire),
    get: (organization, cmdlet, parameters) => observing(async () => (await list(organization, cmdlet, parameters))[0]),
    list,
    readTogether: async (organization, wanted) => {
      const found = await readTogether(wire, organization, wanted);
      if (Object.values(found).some((one) => one.state === "unknown" && one.reason.code === "ExchangeRoleMissing"))
        credentials.forget(organization);
      return found;
    },
    run: async (organization, cmdlet, parameters) => (await runAll(organization, cmdlet, parameters))[0],
    runAll,
  };
}

function parametersOf<C extends Cmdlet>(cmdlet: C, parameters: CmdletParameters[C]): Record<string, unknown> {
  const encoded = encodeParameters(parameters, { nulls: cmdlet.startsWith("Set-") });
  // Without it Exchange only validates, answers 200 and removes nothing.
  return cmdlet.startsWith("Remove-") ? { ...encoded, Confirm: false } : encoded;
}

const reads = (cmdlet: Cmdlet): boolean => cmdlet.startsWith("Get-");

const codeOf = (error: unknown): string | undefined => (error instanceof ControlPlaneError ? error.code : undefined);

const wordsIn = (parameters: object): string[] =>
  Object.entries(parameters).flatMap(([name, value]) =>
    name.endsWith("HeaderContainsWords") && Array.isArray(value) ? (value as string[]) : [],
  );

function unlessAlreadyEnabled(error: unknown): CmdletResult<"Enable-OrganizationCustomization">[] {
  if (error instanceof ControlPlaneError && error.details?.some(({ message }) => /already/i.test(message))) return [];
  throw error;
}
