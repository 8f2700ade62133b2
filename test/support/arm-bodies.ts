/** ARM's traffic against Microsoft's published types: bodies that were sent and answers that came, each at its own api-version. */
import { expect, test } from "vitest";
import type { Exchange } from "../../infra/local/clouds/record.ts";
import type { ArmExchange } from "./arm-operations.ts";
import { addressed, type ArmSchemas, armSchemas } from "./arm-schemas.ts";

/** Resource type and api-version of an exchange. */
export const named = ({ url }: Pick<ArmExchange, "url">): string => {
  const { pathname, searchParams } = new URL(url);
  return `${addressed(pathname).type}@${searchParams.get("api-version")}`;
};

/** Of a resource's write or read; undefined when its type isn't published at that version. */
export function bodyFindings(types: ArmSchemas, exchange: ArmExchange): string[] | undefined {
  const { method, url, requestBody, status, responseBody } = exchange;
  const { pathname, searchParams } = new URL(url);
  const { type, collection } = addressed(pathname);
  if (collection || status >= 300 || !["GET", "PUT", "PATCH"].includes(method)) return [];
  const version = searchParams.get("api-version") ?? "";
  const asked = method === "PUT" ? types.check(type, version, requestBody, "request") : [];
  const answered = types.check(type, version, responseBody, "response");
  if (asked === undefined || answered === undefined) return undefined;
  return [...asked, ...answered].map((finding) => `${method} ${named(exchange)} ${finding}`);
}

/** The types that no onboarding is without, and that aren't among the published ones. */
const unpublishedAlways = [
  "microsoft.managedidentity/userassignedidentities@2024-11-30",
  "microsoft.authorization/roleassignments@2022-04-01",
];

/** The last test of a file: all that its onboardings sent to ARM. `others` are the types beside the usual that aren't published either. */
export function everyBodyFits(record: () => Promise<Exchange[]>, others: string[] = []): void {
  const types = armSchemas();
  test.skipIf(types === undefined)("every body that ARM was sent, and every answer, fits its published type", async () => {
    if (types === undefined) return;
    const traffic = (await record()).filter(({ cloud }) => cloud === "arm");
    expect(traffic.flatMap((exchange) => bodyFindings(types, exchange) ?? [])).toEqual([]);
    const written = traffic.filter(({ method, status }) => method === "PUT" && status < 300);
    const unpublished = written.filter((exchange) => bodyFindings(types, exchange) === undefined).map(named);
    expect(new Set(unpublished)).toEqual(new Set([...unpublishedAlways, ...others]));
    expect(written.length - unpublished.length).toBeGreaterThan(10);
  });
}
