/** Prints an access token for the API of a running local platform: `npm run --silent token -- [--data DIR] [--operator]`. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { parseArgs } from "node:util";
import type { ApiCredentials } from "./platform.ts";
import { tokenSource } from "./tokens.ts";

const { values } = parseArgs({
  options: { data: { type: "string", default: ".local" }, operator: { type: "boolean", default: false } },
});
const file = join(values.data, "endpoints.json");
const { ca, clients } = JSON.parse(readFileSync(file, "utf8")) as { ca: string; clients: ApiCredentials[] };
setDefaultCACertificates([...getCACertificates("default"), readFileSync(ca, "utf8")]);
const client = clients.find(({ role }) => role === (values.operator ? "operator" : "partner"));
if (!client) throw new Error(`${file} names no such client`);
process.stdout.write(`${await tokenSource(client)()}\n`);
