// SPDX-License-Identifier: MIT
/**
 * What the project's files must look like together, as functions from all of them to complaints.
 * `tree_rules_test.ts` holds them against the project, and against small trees that they must refuse.
 *
 * @module
 */
import { dirname, normalize } from "@std/path";
import type { ModuleGraph } from "./module_graph.ts";
import type { ProjectConfig, ProjectFile } from "./tidy_rules.ts";

/** Modules that import each other, directly or by way of others. */
export function importCycles(graph: ModuleGraph): string[] {
  const done = new Set<string>();
  const trail: string[] = [];
  const cycles: string[] = [];
  const visit = (path: string) => {
    const at = trail.indexOf(path);
    if (at >= 0) cycles.push(`${[...trail.slice(at), path].join(" -> ")} is a cycle of imports`);
    if (at >= 0 || done.has(path)) return;
    trail.push(path);
    for (const { from } of graph.get(path)?.imports ?? []) visit(from);
    trail.pop();
    done.add(path);
  };
  for (const path of graph.keys()) visit(path);
  return cycles;
}

/** Modules that are run or imported from outside: exports, scripts of tasks, lint plugins, exports of links. */
export function entryPoints(
  { exports, tasks, lint }: ProjectConfig,
  links: Record<string, LinkConfig>,
): string[] {
  const commands = Object.values(tasks).map((task) => typeof task === "string" ? task : task.command ?? "");
  return [
    ...Object.values(exports ?? {}),
    ...commands.flatMap((command) => command.match(/[\w/]+\.ts\b/g) ?? []),
    ...lint?.plugins ?? [],
    ...Object.entries(links).flatMap(([path, link]) =>
      Object.values(link.exports).map((name) => `${path}/${name}`)
    ),
  ].map((path) => normalize(path));
}

/** The `deno.json` of a linked package. */
export interface LinkConfig {
  exports: Record<string, string>;
}

/** Modules that no entry point needs; of what serves tests alone, those that no test needs. */
export function unusedModules(graph: ModuleGraph, entries: readonly string[]): string[] {
  const used = reachable(graph, entries);
  const tested = reachable(graph, [...graph.keys()].filter(isTest));
  return [...graph.keys()]
    .filter((path) => !used.has(path) && !isTest(path) && !(servesTests(path) && tested.has(path)))
    .map((path) => tested.has(path) ? `${path} is needed by tests alone` : `${path} is needed by nothing`);
}

function isTest(path: string): boolean {
  return path.endsWith("_test.ts");
}

function servesTests(path: string): boolean {
  return /^(tests|fixtures)\/|\/testing\//.test(path);
}

function reachable(graph: ModuleGraph, from: readonly string[]): Set<string> {
  const seen = new Set<string>();
  const rest = [...from];
  for (let path = rest.pop(); path !== undefined; path = rest.pop()) {
    if (!seen.has(path)) rest.push(...(graph.get(path)?.imports ?? []).map((one) => one.from));
    seen.add(path);
  }
  return seen;
}

/** Exports that no other module imports; outside of what serves tests, also those that only tests know. */
export function unusedExports(graph: ModuleGraph, entries: readonly string[]): string[] {
  const needed = reachable(graph, entries);
  const users = new Map<string, string[]>();
  for (const { path, imports } of graph.values()) {
    for (const { from, names } of imports) {
      for (const name of names) users.set(`${from} ${name}`, [...users.get(`${from} ${name}`) ?? [], path]);
    }
  }
  return [...graph.values()].filter(({ path }) => !entries.includes(path)).flatMap((
    { path, code, exports, types },
  ) =>
    exports.flatMap((name) => {
      const all = ["*", name, ...types.has(name) ? ["type *"] : []].flatMap((key) =>
        users.get(`${path} ${key}`) ?? []
      );
      if (all.length === 0) return [`${path} exports ${name}, which nothing imports`];
      const isMentioned = (code.match(new RegExp(`\\b${name}\\b`, "g")) ?? []).length > 1;
      if (servesTests(path) || isMentioned || all.some((user) => needed.has(user))) return [];
      return [`${path} exports ${name}, which tests alone import`];
    })
  );
}

/** Fields of exported `…Options` that no object in the project has. */
export function unsetOptions(graph: ModuleGraph): string[] {
  const fieldsSet = new Set([...graph.values()].flatMap((module) => [...module.fieldsSet]));
  return [...graph.values()].flatMap(({ path, optionFields }) =>
    optionFields.filter(({ name }) => !fieldsSet.has(name))
      .map(({ interfaceName, name }) => `${path}: nothing sets ${interfaceName}.${name}`)
  );
}

/** What a path in prose looks like: below one of our folders, or a plain name with an end of ours. */
const PROSE_PATH_REGEXP = new RegExp(
  "(?<![\\w./~…-])(?:\\.\\.?/)*" +
    "(?:(?:lib|vm|harness|tests|fixtures|docs|\\.ci|\\.github)/[\\w./*-]+|" +
    "[a-zA-Z0-9][\\w-]*\\.(?:ts|md|config))(?![\\w/])",
  "g",
);

/**
 * Paths named in Markdown that lead nowhere. Names without a folder may stand anywhere in the project; `*` and words
 * in capitals stand for any text.
 */
export function missingPaths(pages: readonly ProjectFile[], paths: readonly string[]): string[] {
  const known = [...new Set(paths.flatMap((path) => [path, path.split("/").at(-1)!, ...parents(path)]))];
  const exists = (found: string) => {
    const pattern = found.replace(/[./]+$/, "").replaceAll(".", "\\.").replace(
      /\*|\b[A-Z]{3,}\b(?!\\\.md)/g,
      "[^/]*",
    );
    return known.includes(found) || known.some((path) => new RegExp(`^${pattern}$`).test(path));
  };
  return pages.flatMap(({ path: page, text = "" }) =>
    [...new Set(text.match(PROSE_PATH_REGEXP) ?? [])]
      .filter((found) => !exists(normalize(found)) && !exists(normalize(`${dirname(page)}/${found}`)))
      .map((found) => `${page} names ${found}, which does not exist`)
  );
}

function parents(path: string): string[] {
  const parts = path.split("/");
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join("/"));
}
