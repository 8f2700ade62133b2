/** XML files as the engine edits them: nodes by a small part of XPath, everything else kept as it is. */
import { XMLBuilder, XMLParser, XMLValidator } from "fast-xml-parser";
import { type MachineDocument, EngineFailure } from "./document.ts";
import type { GuestState } from "./state.ts";
import { fingerprintOf, type Values, withOrigin } from "./values.ts";

type XmlEntry = MachineDocument["xml"][number];
type XmlNode = XmlEntry["nodes"][number];
/** One node as fast-xml-parser gives it in order: its name with its children, and its attributes under `:@`. */
type Raw = Record<string, unknown>;

const ONCE_KEY = "hklm\\software\\gatehouse\\guest\\once";
const CONSUMED_KEY = "hklm\\software\\gatehouse\\guest\\consumed";
const ATTRIBUTES = ":@";
const TEXT = "#text";
const CDATA = "#cdata";
const options = {
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: "",
  commentPropName: "#comment",
  cdataPropName: CDATA,
  processEntities: true,
} as const;

export function xmlDifferences(guest: GuestState, { xml }: MachineDocument, values: Values): string[] {
  return xml.flatMap((entry) => {
    const file = guest.files[entry.file.toLowerCase()];
    if (file === undefined) return entry.whenPresent ? [] : [`xml/${entry.file}`];
    const tree = read(file.text, entry.file);
    return entry.nodes
      .filter((node) => !holds(guest, tree, node, entry.file, values))
      .map(({ path }) => `xml/${entry.file}#${path}`);
  });
}

export function setXml(guest: GuestState, entry: XmlEntry, values: Values): GuestState {
  const file = guest.files[entry.file.toLowerCase()];
  if (file === undefined) {
    if (entry.whenPresent) return guest;
    throw new EngineFailure("XmlMissing", `${entry.file} is not there`);
  }
  const tree = read(file.text, entry.file);
  const written = entry.nodes.filter((node) => !holds(guest, tree, node, entry.file, values));
  if (written.length === 0) return guest;
  for (const node of written) (find(tree, node.path, entry.file) ?? made(tree, node, entry.file)).write(values.text(node));
  const after = write(tree, file.text);
  const again = read(after, entry.file);
  let changed: GuestState = guest;
  for (const node of written) {
    const text = values.text(node);
    const place = `xml/${entry.file}#${node.path}`;
    if (find(again, node.path, entry.file)?.text() !== text)
      throw new EngineFailure("XmlMalformed", `${node.path} in ${entry.file} does not read back`);
    changed = withOrigin(changed, node, place, text);
    const name = `${entry.file}#${node.path}`;
    if (node.once !== undefined) changed = remembering(changed, ONCE_KEY, name, node.once);
    if (node.twin !== undefined && node.secret !== undefined)
      changed = remembering(changed, CONSUMED_KEY, name, fingerprintOf(node.secret.name, text));
  }
  const backup = `${entry.file}.gatehouse-before`;
  return {
    ...changed,
    files: {
      ...changed.files,
      [backup.toLowerCase()]: { path: backup, text: file.text },
      [entry.file.toLowerCase()]: { path: file.path, text: after },
    },
    // The backup is as secret as what it was made of.
    origins: written.some(({ secret }) => secret !== undefined)
      ? { ...changed.origins, [`files/${backup}`.toLowerCase()]: { secret: "backup", hash: "" } }
      : changed.origins,
  };
}

const remembering = (guest: GuestState, key: string, name: string, data: string): GuestState => ({
  ...guest,
  registry: { ...guest.registry, [key]: { ...guest.registry[key], [name]: { type: "String", data } } },
});

/** Whether a file is well-formed and a node in it has text: evidence that somebody's set-up has ended. */
export function xmlHasText(text: string, file: string, path: string): boolean {
  return (find(read(text, file), path, file)?.text().trim() ?? "") !== "";
}

/** What an element says; undefined where it is not. */
export const textIn = (text: string, file: string, path: string): string | undefined =>
  find(read(text, file), path, file)?.text();

/** The file with other texts in elements that it has. */
export function withTexts(text: string, file: string, texts: Record<string, string>): string {
  const tree = read(text, file);
  for (const [path, value] of Object.entries(texts)) find(tree, path, file)?.write(value);
  return write(tree, text);
}

function holds(guest: GuestState, tree: Raw[], node: XmlNode, file: string, values: Values): boolean {
  if (node.once !== undefined) return guest.registry[ONCE_KEY]?.[`${file}#${node.path}`]?.data === node.once;
  const there = find(tree, node.path, file);
  if (there === undefined) return false;
  const place = `xml/${file}#${node.path}`;
  if (values.same(node, place, there.text())) return true;
  if (node.twin === undefined || there.text() !== "") return false;
  const remembered = guest.registry[CONSUMED_KEY]?.[`${file}#${node.path}`]?.data;
  const encrypted = find(tree, node.twin, file)?.text() ?? "";
  return encrypted !== "" && typeof remembered === "string" && values.fingerprinted(node, place, remembered);
}

function read(text: string, file: string): Raw[] {
  const unmarked = text.replace(/^\uFEFF/, "");
  if (XMLValidator.validate(unmarked) !== true) throw new EngineFailure("XmlMalformed", `${file} is no well-formed XML`);
  return new XMLParser({ ...options, trimValues: false, parseTagValue: false, parseAttributeValue: false }).parse(
    unmarked,
  ) as Raw[];
}

const write = (tree: Raw[], before: string): string =>
  (before.startsWith("\uFEFF") ? "\uFEFF" : "") + new XMLBuilder({ ...options, suppressBooleanAttributes: false }).build(tree);

interface Found {
  text(): string;
  write(text: string): void;
}

/** The one node of a path, undefined when there is none; more than one, or one with elements in it, is a failure. */
function find(tree: Raw[], path: string, file: string): Found | undefined {
  const [elements, attribute] = split(path);
  const all = matches(tree, elements);
  if (attribute !== undefined) {
    const having = all.filter((element) => attributesOf(element)[attribute] !== undefined);
    if (having.length > 1) throw new EngineFailure("XmlNodeAmbiguous", `${file} has ${having.length} nodes ${path}`);
    const [element] = having;
    return element === undefined ? undefined : attributeNode(element, attribute);
  }
  if (all.length > 1) throw new EngineFailure("XmlNodeAmbiguous", `${file} has ${all.length} nodes ${path}`);
  const [element] = all;
  if (element === undefined) return undefined;
  if (childrenOf(element).some((child) => nameOf(child) !== undefined))
    throw new EngineFailure("XmlNodeComplex", `${path} in ${file} holds elements`);
  return elementNode(element);
}

function made(tree: Raw[], { path, create }: XmlNode, file: string): Found {
  if (create === undefined) throw new EngineFailure("XmlNodeMissing", `${file} has no ${path}`);
  const last = path.lastIndexOf("/");
  const name = path.slice(last + 1);
  const parents = matches(tree, split(path.slice(0, last))[0]);
  const [parent] = parents;
  if (parent === undefined || parents.length !== 1) throw new EngineFailure("XmlNodeMissing", `${file} has no place for ${path}`);
  if (name.startsWith("@")) {
    parent[ATTRIBUTES] = { ...attributesOf(parent), [name.slice(1)]: "" };
    return attributeNode(parent, name.slice(1));
  }
  const element: Raw = { [name]: [] };
  childrenOf(parent).push(element);
  return elementNode(element);
}

const elementNode = (element: Raw): Found => ({
  text: () =>
    childrenOf(element)
      .map((child) => child[TEXT] ?? (child[CDATA] as Raw[] | undefined)?.[0]?.[TEXT] ?? "")
      .map(String)
      .join(""),
  write: (text) => void (element[nameOf(element) ?? ""] = text === "" ? [] : [{ [TEXT]: text }]),
});

const attributeNode = (element: Raw, name: string): Found => ({
  text: () => String(attributesOf(element)[name]),
  write: (text) => void (element[ATTRIBUTES] = { ...attributesOf(element), [name]: text }),
});

interface Step {
  name: string;
  where: [attribute: string, value: string] | undefined;
}

function split(path: string): [Step[], string | undefined] {
  const attribute = /\/@([\w.-]+)$/.exec(path)?.[1];
  const elements = attribute === undefined ? path : path.slice(0, path.lastIndexOf("/@"));
  const steps = elements
    .slice(1)
    .split("/")
    .map((step): Step => {
      const [, name = "", key, value = ""] = /^([^[]+)(?:\[@([\w.-]+)='([^']*)'\])?$/.exec(step) ?? [];
      return { name, where: key === undefined ? undefined : [key, value] };
    });
  return [steps, attribute];
}

const matches = (tree: Raw[], steps: Step[]): Raw[] =>
  steps.reduce<Raw[]>(
    (level, { name, where }, depth) =>
      (depth === 0 ? level : level.flatMap(childrenOf)).filter(
        (node) => nameOf(node) === name && (where === undefined || attributesOf(node)[where[0]] === where[1]),
      ),
    tree,
  );

/** The element's name; undefined for text, comments and declarations. */
const nameOf = (node: Raw): string | undefined => Object.keys(node).find((key) => key !== ATTRIBUTES && !/^[#?]/.test(key));
const childrenOf = (node: Raw): Raw[] => (node[nameOf(node) ?? ""] ?? []) as Raw[];
const attributesOf = (node: Raw): Record<string, string> => (node[ATTRIBUTES] ?? {}) as Record<string, string>;
