/** A plain page for a person's browser, with everything in it escaped. */

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

/** One heading and a paragraph for each text. */
export const htmlPage = (title: string, paragraphs: string[]): string => page(title, paragraphs, "");

/** With a button that posts to where the page came from. */
export const htmlForm = (title: string, paragraphs: string[], button: string): string =>
  page(title, paragraphs, `<form method="post"><button>${escaped(button)}</button></form>\n`);

const page = (title: string, paragraphs: string[], form: string): string =>
  `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title></head>
<body><main><h1>${escaped(title)}</h1>
${paragraphs.map((paragraph) => `<p>${escaped(paragraph)}</p>`).join("\n")}
${form}</main></body>
</html>
`;

export const htmlHeaders = {
  "content-type": "text/html; charset=utf-8",
  "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
};
