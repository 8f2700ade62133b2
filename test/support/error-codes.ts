/** The closed catalogue of codes that an API answer or an operation's error may have, as partners read it. */
import { readFileSync } from "node:fs";

const codesIn = (document: string): string[] =>
  readFileSync(new URL(`../../${document}`, import.meta.url), "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `"))
    .flatMap((line) => (line.split("|")[1] ?? "").match(/[A-Za-z]+/g) ?? []);

export const documentedCodes = (): Set<string> =>
  new Set([...codesIn("docs/error-codes.md"), ...codesIn("shared/resources/README.md")]);
