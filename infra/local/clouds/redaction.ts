/** Takes secrets out of what is recorded and shown: by the name of a property, by value, and whatever looks like a token. */

export interface Redaction {
  /** Words that must never be seen, however they are encoded on their way. */
  add(value: string): void;
  redact(value: unknown): unknown;
  redactText(text: string): string;
}

export const redacted = "[redacted]";

/** Properties, form fields and headers that hold a secret whatever their value is. */
const secretNames =
  /^(.*password|secrettext|(access|refresh|id)_?token|client_?assertion|client_?secret|assertion|authorization|protected(parameters|settings)|x-identity-header|cookie|set-cookie|.*(account|shared|private)key|pfxblob|customdata)$/i;
/** JSON Web Tokens: three parts in base64url, the first one an object. */
const token = /eyJ[\w-]{8,}\.[\w-]+\.[\w-]+/g;
const shortest = 6;

export function createRedaction(): Redaction {
  const words = new Set<string>();
  const redactText = (text: string): string => {
    let result = text.replace(token, redacted);
    for (const word of words) if (result.includes(word)) result = result.replaceAll(word, redacted);
    return result;
  };
  const redact = (value: unknown): unknown => {
    if (typeof value === "string") return redactText(value);
    if (Array.isArray(value)) return value.map(redact);
    if (typeof value !== "object" || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, inner]) => [
        redactText(name),
        secretNames.test(name) && inner !== null ? redacted : redact(inner),
      ]),
    );
  };
  return {
    add: (value) => {
      // A shorter word would be found in half of all texts; what it belongs to is redacted by name.
      if (value.length < shortest) return;
      const bytes = Buffer.from(value);
      for (const form of [
        value,
        encodeURIComponent(value),
        JSON.stringify(value).slice(1, -1),
        bytes.toString("base64"),
        bytes.toString("base64url"),
      ])
        words.add(form);
    },
    redact,
    redactText,
  };
}
