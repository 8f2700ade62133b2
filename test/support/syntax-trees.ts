/** Syntax trees of Bicep and PowerShell files by their tree-sitter grammars, which run as WebAssembly. */
import path from "node:path";
import { Language, type Node, Parser, type Tree } from "web-tree-sitter";

const packages = path.resolve(import.meta.dirname, "../../node_modules");

/** Reads text as the grammar of that name. */
export async function grammar(name: "bicep" | "powershell"): Promise<(text: string) => Tree> {
  await Parser.init();
  const language = await Language.load(path.join(packages, `tree-sitter-${name}/tree-sitter-${name}.wasm`));
  const parser = new Parser().setLanguage(language);
  return (text) => {
    const tree = parser.parse(text);
    if (tree === null) throw new Error(`the ${name} grammar gave no tree`);
    return tree;
  };
}

/** The node and all below it, in the order of the text. */
export function* everyNode(node: Node): Generator<Node> {
  yield node;
  for (const child of node.children) yield* everyNode(child);
}

/** `line: text` of every place that the grammar could not read. */
export const syntaxErrors = (tree: Tree): string[] =>
  tree.rootNode.hasError
    ? [...everyNode(tree.rootNode)]
        .filter(({ isError, isMissing }) => isError || isMissing)
        .map(({ startPosition, text }) => `${startPosition.row + 1}: ${text.split("\n", 1)[0]?.slice(0, 80)}`)
    : [];
