// SPDX-License-Identifier: MIT
/**
 * The project's own lint rules, run by `deno lint` beside Deno's: which room may import which, what keeps
 * `lib` pure, and a few points of style that reviewers would otherwise have to look for.
 *
 * @module
 */
import { dirname, fromFileUrl, normalize, relative } from "@std/path";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/**
 * The layers from the bottom up: a file imports from its own layer and those before it. Within a top folder types may
 * be imported from anywhere: they say what a thing is given, not what it does.
 */
const LAYERS = [
  ...[
    "lib/std",
    "lib/bytes.ts",
    "lib/printable.ts",
    "lib/schema.ts",
    "lib/abi",
    "lib/x86",
    "lib/image",
    "lib/model",
    "lib/compare",
  ],
  "fixtures",
  ...["vm/host", "vm/kernel", "vm/qemu", "vm/initramfs", "vm/agent"],
  ...[
    "harness/triage",
    "harness/check",
    "harness/run",
    "harness/inspect",
    "harness/faults",
    "harness/mutants",
    "harness/fuzz",
  ],
  ...[
    "harness/bench",
    "harness/nightly",
    "harness/report",
    "harness/coverage",
    "harness/bisect",
    "harness/cli",
  ],
  "mod.ts",
  "tests",
];

/** Global names that reach outside: files, processes, the network, the clock, the console, chance. */
const IMPURE_GLOBALS = new Set([
  "Buffer",
  "BroadcastChannel",
  "Deno",
  "EventSource",
  "WebSocket",
  "Worker",
  "XMLHttpRequest",
  "alert",
  "caches",
  "confirm",
  "console",
  "crypto",
  "fetch",
  "global",
  "globalThis",
  "localStorage",
  "navigator",
  "performance",
  "process",
  "prompt",
  "self",
  "sessionStorage",
  "setInterval",
  "setTimeout",
  "window",
]);

/** Members of otherwise harmless globals that do so. */
const IMPURE_MEMBERS = new Set(["Date.now", "Math.random", "Temporal.Now"]);

/** Names that stand in a place of their own: no reference to a variable, whatever they are called. */
const NAMING_PARENTS = new Set([
  "MethodDefinition",
  "PropertyDefinition",
  "TSAbstractMethodDefinition",
  "TSAbstractPropertyDefinition",
  "TSEnumMember",
  "TSMethodSignature",
  "TSPropertySignature",
]);

function pathInProject(filename: string): string {
  return filename.startsWith("/") ? relative(ROOT, filename) : normalize(filename);
}

/** Index of the layer of a file, or of the file that it tests; -1 when it has none. */
function layerOf(file: string): number {
  const path = file.replace(/_test\.ts$/, ".ts");
  return LAYERS.findIndex((layer) => path === layer || path.startsWith(`${layer}/`));
}

function topOf(path: string): string {
  return path.split("/")[0] ?? path;
}

function isPureFile(filename: string): boolean {
  const path = pathInProject(filename);
  return path.startsWith("lib/") && !path.startsWith("lib/std/") && !path.endsWith("_test.ts");
}

/** An import or export of something of another module. */
interface ImportSite {
  specifier: string;
  filename: string;
  /** Whether only types are imported. */
  isType: boolean;
}

/** A rule about what may be imported: `check` answers with the complaint, or with nothing. */
function importRule(check: (site: ImportSite) => string | undefined): Deno.lint.Rule {
  return {
    create(context) {
      const { filename } = context;
      function look(source: Deno.lint.Node | null, isType = false): void {
        if (source?.type !== "Literal" || typeof source.value !== "string") return;
        const complaint = check({ specifier: source.value, filename, isType });
        if (complaint !== undefined) context.report({ node: source, message: complaint });
      }
      return {
        ImportDeclaration: ({ source, importKind, specifiers }) => {
          const areTypes = specifiers.every((one) =>
            one.type === "ImportSpecifier" && one.importKind === "type"
          );
          look(source, importKind === "type" || specifiers.length > 0 && areTypes);
        },
        ExportNamedDeclaration: ({ source, exportKind }) => look(source, exportKind === "type"),
        ExportAllDeclaration: ({ source, exportKind }) => look(source, exportKind === "type"),
        ImportExpression: ({ source }) => look(source),
      };
    },
  };
}

function checkLayering({ specifier, filename, isType }: ImportSite): string | undefined {
  if (!specifier.startsWith(".")) return undefined;
  const path = pathInProject(filename);
  const target = normalize(`${dirname(path)}/${specifier}`);
  const [from, to] = [layerOf(path), layerOf(target)];
  if (to < 0) return `"${target}" lies in no layer: ${LAYERS.join(" <- ")}`;
  if (from < 0) return `"${path}" lies in no layer: ${LAYERS.join(" <- ")}`;
  const isInside = topOf(path) === topOf(target);
  if (to <= from || isInside && (isType || /_test\.ts$|\/testing\//.test(path))) return undefined;
  return `"${LAYERS[from]}" cannot import from "${LAYERS[to]}": imports run ${LAYERS.join(" <- ")}`;
}

function checkSpecifier({ specifier, filename }: ImportSite): string | undefined {
  const path = pathInProject(filename);
  if (/^(jsr|npm|https?):/.test(specifier) && !path.startsWith("lib/std/")) {
    return `Import "${specifier}" by a name from the imports of deno.json`;
  }
  if (/^@std\/assert(\/|$)/.test(specifier) && !/^tests\/|_test\.ts$/.test(path)) {
    return `Keep "${specifier}" to tests: code throws errors of its own`;
  }
  if (isPureFile(filename) && /^(node:|ajv$|fast-check$|@(std\/fs|optique\/\w+)(\/|$))/.test(specifier)) {
    return `"lib" cannot import "${specifier}": it has no input, output or chance`;
  }
  return undefined;
}

/** Whether the identifier refers to a variable, and is not just the name of a member or a key. */
function isReference(node: Deno.lint.Identifier): boolean {
  const parent = node.parent;
  if (parent.type === "MemberExpression") return parent.object === node || parent.computed;
  if (parent.type === "TSQualifiedName") return parent.left === node;
  if (parent.type === "Property") return parent.value === node || parent.computed;
  if (NAMING_PARENTS.has(parent.type)) return !("key" in parent && parent.key === node);
  return true;
}

/** Whether the identifier gives a variable of the file's own its name. */
function isBinding(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  switch (parent.type) {
    case "VariableDeclarator":
      return parent.id === node;
    case "AssignmentPattern":
      return parent.left === node;
    case "Property":
      return parent.value === node && parent.parent.type === "ObjectPattern";
    case "FunctionDeclaration":
    case "FunctionExpression":
    case "ArrowFunctionExpression":
      return parent.body !== node;
    case "ArrayPattern":
    case "CatchClause":
    case "ImportDefaultSpecifier":
    case "ImportSpecifier":
    case "RestElement":
      return true;
    default:
      return false;
  }
}

function isDate(callee: Deno.lint.Node): boolean {
  return callee.type === "Identifier" && callee.name === "Date";
}

// Plain node types alone are looked for: a selector with an attribute costs a second over the project.
const libPurity: Deno.lint.Rule = {
  create(context) {
    if (!isPureFile(context.filename)) return {};
    const references: Deno.lint.Identifier[] = [];
    const bindings = new Set<string>();
    function report(node: Deno.lint.Node, what: string): void {
      context.report({ node, message: `"lib" is pure and cannot use ${what}: pass the value in` });
    }
    return {
      Identifier(node) {
        if (!IMPURE_GLOBALS.has(node.name)) return;
        if (isBinding(node)) bindings.add(node.name);
        else if (isReference(node)) references.push(node);
      },
      "Program:exit"() {
        for (const node of references) if (!bindings.has(node.name)) report(node, node.name);
      },
      MemberExpression(node) {
        if (node.object.type !== "Identifier" || node.property.type !== "Identifier") return;
        const name = `${node.object.name}.${node.property.name}`;
        if (IMPURE_MEMBERS.has(name)) report(node, name);
      },
      NewExpression(node) {
        if (isDate(node.callee) && node.arguments.length === 0) report(node, "new Date() without a time");
      },
      CallExpression(node) {
        if (isDate(node.callee)) report(node, "Date()");
      },
    };
  },
};

const noDefaultExport: Deno.lint.Rule = {
  create(context) {
    const message = "Export by name: a default export has no name to search for";
    return {
      ExportDefaultDeclaration: (node) => context.report({ node, message }),
      ExportSpecifier(node) {
        if (node.exported.type === "Identifier" && node.exported.name === "default") {
          context.report({ node, message });
        }
      },
    };
  },
};

const noPrivateKeyword: Deno.lint.Rule = {
  create(context) {
    const message = "Write #name in place of private: the one is enforced at run time, too";
    const look = (node: Deno.lint.PropertyDefinition | Deno.lint.MethodDefinition) => {
      if (node.accessibility === "private") context.report({ node, message });
    };
    return {
      PropertyDefinition: look,
      MethodDefinition: look,
      // The syntax tree does not tell which keyword it has; a field that is written out is clearer with any.
      TSParameterProperty(node) {
        context.report({ node, message: "Write the field out: it is hidden among the parameters" });
      },
    };
  },
};

const topLevelFunctions: Deno.lint.Rule = {
  create(context) {
    function look(node: Deno.lint.VariableDeclaration): void {
      for (const { init } of node.declarations) {
        if (init?.type === "ArrowFunctionExpression" || init?.type === "FunctionExpression") {
          context.report({ node: init, message: "Declare top-level functions with the function keyword" });
        }
      }
    }
    return {
      "Program > VariableDeclaration": look,
      "Program > ExportNamedDeclaration > VariableDeclaration": look,
    };
  },
};

const noAmbient: Deno.lint.Rule = {
  create(context) {
    return {
      TSModuleDeclaration(node) {
        context.report({
          node,
          message: "Do not declare modules, namespaces or globals: JSR refuses packages that do",
        });
      },
    };
  },
};

const plugin: Deno.lint.Plugin = {
  name: "ckptest",
  rules: {
    "layering": importRule(checkLayering),
    "specifiers": importRule(checkSpecifier),
    "lib-purity": libPurity,
    "no-default-export": noDefaultExport,
    "no-private-keyword": noPrivateKeyword,
    "top-level-functions": topLevelFunctions,
    "no-ambient": noAmbient,
  },
};

// deno-lint-ignore ckptest/no-default-export -- the form in which deno lint takes a plugin
export default plugin;
