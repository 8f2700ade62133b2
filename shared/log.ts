/** One JSON line an event, with partner, tenant and operation; secrets don't get in, by key and by shape. */

export type LogLevel = "debug" | "information" | "warning" | "error";
type Fields = Record<string, unknown>;

export interface Log {
  debug(message: string, fields?: Fields): void;
  information(message: string, fields?: Fields): void;
  warning(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
  /** The same log with more fields on each line. */
  with(fields: Fields): Log;
}

const levels: LogLevel[] = ["debug", "information", "warning", "error"];

export function createLog(
  least: LogLevel,
  write: (level: LogLevel, line: string) => void = writeToConsole,
  common: Fields = {},
): Log {
  const at =
    (level: LogLevel) =>
    (message: string, fields: Fields = {}) => {
      if (levels.indexOf(level) < levels.indexOf(least)) return;
      write(level, JSON.stringify(redacted({ level, message, ...common, ...fields })));
    };
  return {
    debug: at("debug"),
    information: at("information"),
    warning: at("warning"),
    error: at("error"),
    with: (fields) => createLog(least, write, { ...common, ...fields }),
  };
}

const writeToConsole = (level: LogLevel, line: string): void => {
  if (level === "error") console.error(line);
  else if (level === "warning") console.warn(line);
  else if (level === "debug") console.debug(line);
  else console.info(line);
};

const secretKey =
  /password|secrettext|client_?secret|authorization|assertion|access_?token|refresh_?token|id_?token|api_?key|connectionstring|confirmation_?code|cookie/i;
const secretShapes: [RegExp, string][] = [
  [/eyJ[\w-]{8,}\.[\w-]+\.[\w-]*/g, "[token]"],
  [/((?:AccountKey|SharedAccessSignature|SharedAccessKey|sig)=)[^;&\s"]+/gi, "$1[secret]"],
  [/(Bearer )\S+/gi, "$1[token]"],
  [/whsec_[\w+/=-]+/g, "[secret]"],
  [/(X-iqsuite-process:\s*)[\w-]+/gi, "$1[secret]"],
];

/** A copy that may be shown: values under secret-like keys, and text that looks like a token or key, are replaced. */
export function redacted(value: unknown, depth = 0): unknown {
  if (typeof value === "string") return secretShapes.reduce((text, [shape, instead]) => text.replace(shape, instead), value);
  if (value instanceof Error) return redactedError(value, depth);
  if (typeof value !== "object" || value === null) return value;
  if (depth > 6) return "[deep]";
  if (Array.isArray(value)) return value.map((item) => redacted(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      secretKey.test(key) && typeof item === "string" ? "[secret]" : redacted(item, depth + 1),
    ]),
  );
}

const redactedError = (error: Error, depth: number): unknown => ({
  name: error.name,
  message: redacted(error.message),
  ...("code" in error ? { code: error.code } : {}),
  stack: redacted(error.stack?.split("\n").slice(1, 6).join("\n")),
  ...(error.cause === undefined || depth > 3 ? {} : { cause: redacted(error.cause, depth + 1) }),
});
