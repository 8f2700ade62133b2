/** The repository as the presubmit tests see it: its files, their code without comments, and what they import. */
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";

export const root = path.resolve(import.meta.dirname, "../..");

const NOT_OURS = new Set(["node_modules", ".git", ".local", "dist", "coverage"]);

/** Paths relative to the repository, with `/`, of every file below `folder`. */
export function filesIn(folder: string): string[] {
  const entries = readdirSync(path.join(root, folder), { withFileTypes: true }).filter(({ name }) => !NOT_OURS.has(name));
  return entries.flatMap((entry) => {
    const file = path.posix.join(folder, entry.name);
    return entry.isDirectory() ? filesIn(file) : [file];
  });
}

export const read = (file: string): string => readFileSync(path.join(root, file), "utf8");

/** Folders of `functions/`: one a capability. */
export const capabilities = (): string[] =>
  readdirSync(path.join(root, "functions"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name);

const TOKEN =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|(?<=[=(,:[!&|?{};\n]\s*|\breturn\s+)\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/\w*/g;

const isComment = (token: string): boolean => /^\/[/*]/.test(token);

export const withoutComments = (code: string): string => code.replaceAll(TOKEN, (token) => (isComment(token) ? "" : token));

/** Comments, strings and regular expressions go; what stands in a template's `${}` stays, since it is code. */
export const codeOnly = (code: string): string =>
  code.replaceAll(TOKEN, (token) => {
    if (isComment(token)) return "";
    return token.startsWith("`") ? `(${[...token.matchAll(/\$\{([^}]*)\}/g)].map(([, inner]) => inner).join(",")})` : '""';
  });

export interface Import {
  /** As it is written: `node:path`, `zod`, `../errors.ts`. */
  specifier: string;
  /** For our own files: the path in the repository. */
  file: string | undefined;
  typeOnly: boolean;
  statement: string;
}

export function importsOf(file: string): Import[] {
  const code = withoutComments(read(file));
  const statements = [
    ...code.matchAll(/^\s*(?:import|export)\b[^;"'`()]*?\bfrom\s+"([^"]+)"|^\s*import\s+"([^"]+)"|\bimport\("([^"]+)"\)/gm),
  ];
  return statements.map(([statement, from, bare, dynamic]) => {
    const specifier = from ?? bare ?? dynamic ?? "";
    return {
      specifier,
      file: specifier.startsWith(".") ? path.posix.join(path.posix.dirname(file), specifier) : undefined,
      typeOnly: /^\s*(?:import|export)\s+type\b/.test(statement),
      statement: statement.trim(),
    };
  });
}
