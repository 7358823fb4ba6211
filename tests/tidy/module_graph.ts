// SPDX-License-Identifier: MIT
/**
 * What the project's modules import from each other, export, and set: read from their syntax trees by a lint plugin,
 * which only `deno test` can run.
 *
 * @module
 */
import { dirname, normalize } from "@std/path";

/** A module and its text. */
interface ModuleSource {
  /** Path from the project's root. */
  path: string;
  text: string;
}

/** One import of another module of the project. */
interface ModuleImport {
  /** Path of the imported module. */
  from: string;
  /** Names that are taken from it; `*` for all of them, `type *` for all types. */
  names: string[];
}

/** A field of an exported interface whose name ends in `Options`. */
interface OptionField {
  interfaceName: string;
  name: string;
}

/** What a module takes and gives. */
interface Module {
  path: string;
  /** The text without comments. */
  code: string;
  imports: ModuleImport[];
  /** Names that are declared and exported here. */
  exports: string[];
  /** Those of them that are types. */
  types: Set<string>;
  optionFields: OptionField[];
  /** Names of fields that some object of this module has, or that are assigned to. */
  fieldsSet: Set<string>;
}

/** Modules by path. */
export type ModuleGraph = ReadonlyMap<string, Module>;

/** Reads modules. Imports of what is not among them are left out. */
export function readModules(sources: readonly ModuleSource[]): ModuleGraph {
  const graph = new Map(sources.map((source) => [source.path, readModule(source)]));
  for (const module of graph.values()) {
    module.imports = module.imports.filter(({ from }) => graph.has(from));
  }
  return graph;
}

function readModule({ path, text }: ModuleSource): Module {
  const code = text.replace(/^[ \t]*\/\*[^]*?\*\/|(^|[ \t;{(,])\/\/[^\n]*$/gm, "$1");
  const module: Module = {
    ...{ path, code, imports: [], exports: [], types: new Set(), optionFields: [], fieldsSet: new Set() },
  };
  const plugin: Deno.lint.Plugin = { name: "tidy", rules: { read: { create: () => reader(module) } } };
  Deno.lint.runPlugin(plugin, path, text);
  // Modules that are run as programs of their own, or whose types are named in place.
  for (const [path] of code.matchAll(/(?<=[}"])(?:lib|vm|harness|tests)\/[\w/]+\.ts\b/g)) {
    module.imports.push({ from: path, names: [] });
  }
  for (const [, specifier = ""] of code.matchAll(/(?:import\.meta\.resolve|new URL)\(\s*"(\.[^"]+\.ts)"/g)) {
    addImport(module, specifier, []);
  }
  for (const [, specifier = "", name = "*"] of code.matchAll(/\bimport\("(\.[^"]+)"\)(?:\.(\w+))?/g)) {
    addImport(module, specifier, [name]);
  }
  return module;
}

function addImport({ path, imports }: Module, specifier: string, names: string[]): void {
  if (specifier.startsWith(".")) imports.push({ from: normalize(`${dirname(path)}/${specifier}`), names });
}

/** Notes what a module has. */
function reader(module: Module): Deno.lint.LintVisitor {
  return {
    Program: ({ body }) => {
      for (const statement of body) readStatement(module, statement);
    },
    ObjectExpression: ({ properties }) => {
      for (const property of properties) {
        if (property.type === "Property") addKey(module, property.key);
      }
    },
    AssignmentExpression: ({ left }) => {
      if (left.type === "MemberExpression") addKey(module, left.property);
    },
  };
}

function addKey({ fieldsSet }: Module, key: Deno.lint.Node): void {
  if (key.type === "Identifier") fieldsSet.add(key.name);
  if (key.type === "Literal") fieldsSet.add(String(key.value));
}

function readStatement(module: Module, statement: Deno.lint.Node): void {
  switch (statement.type) {
    case "ImportDeclaration": {
      const names = statement.specifiers.map((one) =>
        one.type === "ImportSpecifier" ? nameOf(one.imported) : "*"
      );
      return addImport(module, statement.source.value, names);
    }
    case "ExportAllDeclaration":
      return addImport(module, statement.source.value, [statement.exportKind === "type" ? "type *" : "*"]);
    case "ExportNamedDeclaration":
      if (statement.source !== null) {
        return addImport(
          module,
          statement.source.value,
          statement.specifiers.map(({ local }) => nameOf(local)),
        );
      }
      module.exports.push(...statement.specifiers.map(({ exported }) => nameOf(exported)));
      if (statement.declaration !== null) readExport(module, statement.declaration);
  }
}

function readExport({ exports, types, optionFields }: Module, declaration: Deno.lint.Node): void {
  if (declaration.type === "VariableDeclaration") {
    for (const { id } of declaration.declarations) if (id.type === "Identifier") exports.push(id.name);
  } else if ("id" in declaration && declaration.id?.type === "Identifier") {
    exports.push(declaration.id.name);
    if (/^TS(Interface|TypeAlias)/.test(declaration.type)) types.add(declaration.id.name);
  }
  if (declaration.type !== "TSInterfaceDeclaration" || !declaration.id.name.endsWith("Options")) return;
  for (const member of declaration.body.body) {
    if (member.type !== "TSPropertySignature" || member.key.type !== "Identifier") continue;
    optionFields.push({ interfaceName: declaration.id.name, name: member.key.name });
  }
}

function nameOf(node: Deno.lint.Node): string {
  return node.type === "Identifier" ? node.name : "*";
}
