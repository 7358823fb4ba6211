// SPDX-License-Identifier: MIT
import type { PidsNode, RecordNode, RecordNodeOf } from "../nodes.ts";
import type { RuleContext } from "./rule_context.ts";

const FD_TYPES = [1, 2];

/** TREE, FILES and what belongs to them: the records of patches 8 and 12. */
export class FilesRules {
  readonly #context: RuleContext;
  #tree: RecordNodeOf<"TREE"> | undefined;
  #pids: PidsNode | undefined;
  #tasks = 0;
  #files: RecordNodeOf<"FILES"> | undefined;
  #entry: RecordNodeOf<"FD_ENT"> | undefined;
  #entries = 0;
  #hasData = false;
  readonly #objects = new Set<number>();

  /** Rules for one image. */
  constructor(context: RuleContext) {
    this.#context = context;
  }

  /** Takes the next record. */
  visit(node: RecordNode): void {
    switch (node.name) {
      case "TREE":
        this.#tree = node;
        return;
      case "TASK":
        this.#tasks++;
        return;
      case "MM":
        return this.#checkPid(node);
      case "FILES":
        this.#files = node;
        this.#entries = 0;
        this.#entry = undefined;
        return this.#context.expectField("E_MM_OBJREF", node, "objref", node.fields.objref, 0);
      case "FD_ENT":
        this.#closeEntry();
        return this.#openEntry(node);
      case "FD_DATA":
        return this.#data(node);
      case "THREAD":
        return this.#closeFiles();
    }
  }

  /** Takes the table after TREE. */
  pids(node: PidsNode): void {
    this.#pids = node;
    node.entries.forEach((entry, i) => {
      const bad = entry.vpid <= 0 || entry.vtgid <= 0 || entry.vppid < 0;
      if (!bad) return;
      const actual = `pid ${entry.vpid}, group ${entry.vtgid}, parent ${entry.vppid}`;
      this.#context.report("E_TREE_PIDS", node, { message: `entry ${i} is impossible`, actual, at: 16 * i });
    });
  }

  /** The end of the image. */
  finish(): void {
    const tree = this.#tree;
    if (tree === undefined || tree.fields.tasks_nr === this.#tasks) return;
    this.#context.reportField("E_TREE_COUNT", tree, "tasks_nr", {
      message: "not the number of TASK records",
      expected: String(this.#tasks),
      actual: String(tree.fields.tasks_nr),
    });
  }

  #checkPid(node: RecordNodeOf<"MM">): void {
    const listed = this.#pids?.entries[this.#tasks - 1]?.vpid;
    if (listed === undefined || listed === node.header.parent) return;
    const values = { expected: String(listed), actual: String(node.header.parent) };
    this.#context.report("E_TREE_PIDS", node, {
      message: "not the pid that TREE lists for this task",
      ...values,
    });
  }

  #openEntry(node: RecordNodeOf<"FD_ENT">): void {
    const { fd, objref, close_on_exec } = node.fields;
    const before = this.#entry?.fields.fd ?? -1;
    if (fd <= before) this.#wrongEntry(node, "fd", "not above the one before", `above ${before}`, fd);
    if (objref === 0) this.#wrongEntry(node, "objref", "no object", "1 or more", objref);
    if (close_on_exec > 1) {
      this.#wrongEntry(node, "close_on_exec", "neither true nor false", "0 or 1", close_on_exec);
    }
    this.#entry = node;
    this.#entries++;
    this.#hasData = false;
  }

  /** The data of an open file come with its first descriptor, and only there. */
  #closeEntry(): void {
    const entry = this.#entry;
    if (entry === undefined) return;
    const { objref } = entry.fields;
    const isNew = !this.#objects.has(objref);
    this.#objects.add(objref);
    if (isNew === this.#hasData) return;
    const what = isNew ? "first seen, without FD_DATA" : "seen before, with FD_DATA again";
    this.#wrongEntry(entry, "objref", what, isNew ? "FD_DATA" : "no FD_DATA", objref);
  }

  #data(node: RecordNodeOf<"FD_DATA">): void {
    this.#hasData = true;
    const { fd_type } = node.fields;
    if (!FD_TYPES.includes(fd_type)) {
      const values = { expected: FD_TYPES.join(" or "), actual: String(fd_type) };
      this.#context.reportField("E_FD_TYPE", node, "fd_type", {
        message: "unknown type of open file",
        ...values,
      });
    }
    const objref = this.#entry?.fields.objref;
    if (objref === undefined || node.header.parent === objref) return;
    const values = { expected: String(objref), actual: String(node.header.parent) };
    this.#context.report("E_PARENT", node, { message: "not the objref of the descriptor", ...values, at: 4 });
  }

  #closeFiles(): void {
    this.#closeEntry();
    this.#entry = undefined;
    const files = this.#files;
    this.#files = undefined;
    if (files === undefined || files.fields.nfds === this.#entries) return;
    this.#context.reportField("E_FD_COUNT", files, "nfds", {
      message: "not the number of FD_ENT records",
      expected: String(this.#entries),
      actual: String(files.fields.nfds),
    });
  }

  #wrongEntry(
    node: RecordNodeOf<"FD_ENT">,
    field: string,
    message: string,
    expected: string,
    actual: number,
  ): void {
    this.#context.reportField("E_FD_ENTRY", node, field, { message, expected, actual: String(actual) });
  }
}
