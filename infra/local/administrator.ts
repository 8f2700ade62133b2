/** Plays the customer's administrator as a browser would: opens the consent link, posts the page's form, follows the redirect. */

/** Answers what the last page says. Errors say at which step the consent stopped. */
export async function grantConsent(link: string, decision: "accept" | "cancel" = "accept"): Promise<string> {
  const page = await opened("opening the consent link", await fetch(link));
  const form = formOf(await page.text(), link, decision);
  const answer = await fetch(form.action, {
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams(form.fields),
    redirect: "manual",
  });
  const location = answer.headers.get("location");
  if (answer.status < 300 || answer.status > 399 || !location)
    throw new Error(`posting the consent form: expected a redirect, got ${answer.status} ${textOf(await answer.text())}`);
  const last = await opened("following the redirect", await fetch(location));
  return textOf(await last.text());
}

async function opened(what: string, response: Response): Promise<Response> {
  if (!response.ok) throw new Error(`${what}: ${response.status} ${textOf(await response.text())}`);
  return response;
}

interface Form {
  action: string;
  fields: Record<string, string>;
}

/** The first form of a page, with its fields' values and the pressed button's. */
function formOf(html: string, base: string, decision: string): Form {
  const form = /<form\b([^>]*)>([\s\S]*?)<\/form>/i.exec(html);
  if (!form) throw new Error(`the consent page has no form: ${textOf(html)}`);
  const fields: Record<string, string> = {};
  for (const [, attributes = ""] of (form[2] ?? "").matchAll(/<input\b([^>]*)>/gi)) {
    const name = attribute(attributes, "name");
    if (name && attribute(attributes, "type") !== "submit") fields[name] = attribute(attributes, "value") ?? "";
  }
  for (const [, attributes = ""] of (form[2] ?? "").matchAll(/<button\b([^>]*)>/gi)) {
    const [name, value] = [attribute(attributes, "name"), attribute(attributes, "value")];
    if (name && value === decision) fields[name] = value;
  }
  return { action: new URL(attribute(form[1] ?? "", "action") ?? base, base).href, fields };
}

const attribute = (attributes: string, name: string): string | undefined =>
  new RegExp(`\\b${name}="([^"]*)"`, "i")
    .exec(attributes)?.[1]
    ?.replaceAll("&amp;", "&")
    .replaceAll("&quot;", '"')
    .replaceAll("&#39;", "'");

const textOf = (html: string): string =>
  html
    .replace(/<(style|title)\b[\s\S]*?<\/\1>/gi, " ")
    .replace(/<[^>]+>/g, " ")
    .replace(/\s+/g, " ")
    .trim()
    .slice(0, 300);
