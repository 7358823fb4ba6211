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

  constructor(context: RuleContext) {
    this.#context = context;
  }

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
        return this.#context.expectField("E_MM_OBJREF", node, "objref", 0);
      case "FD_ENT":
        this.#closeEntry();
        return this.#openEntry(node);
      case "FD_DATA":
        return this.#data(node);
      case "THREAD":
        return this.#closeFiles();
    }
  }

  pids(node: PidsNode): void {
    this.#pids = node;
    node.entries.forEach(({ vpid, vtgid, vppid }, i) => {
      if (vpid > 0 && vtgid > 0 && vppid >= 0) return;
      const actual = `pid ${vpid}, group ${vtgid}, parent ${vppid}`;
      this.#context.report("E_TREE_PIDS", node, { message: `entry ${i} is impossible`, actual, at: 16 * i });
    });
  }

  finish(): void {
    if (this.#tree === undefined || this.#tree.fields.tasks_nr === this.#tasks) return;
    this.#context.reportField("E_TREE_COUNT", this.#tree, "tasks_nr", { expected: String(this.#tasks) });
  }

  #checkPid(node: RecordNodeOf<"MM">): void {
    const listed = this.#pids?.entries[this.#tasks - 1]?.vpid;
    if (listed === undefined || listed === node.header.parent) return;
    const values = { expected: String(listed), actual: String(node.header.parent) };
    const message = "not the pid that TREE lists for this task";
    this.#context.report("E_TREE_PIDS", node, { message, ...values });
  }

  #openEntry(node: RecordNodeOf<"FD_ENT">): void {
    const { fd, objref, close_on_exec } = node.fields;
    const before = this.#entry?.fields.fd ?? -1;
    const wrong = (field: string, message: string, expected: string): void =>
      this.#context.reportField("E_FD_ENTRY", node, field, { message, expected });
    if (fd <= before) wrong("fd", "not above the one before", `above ${before}`);
    if (objref === 0) wrong("objref", "no object", "1 or more");
    if (close_on_exec > 1) wrong("close_on_exec", "neither true nor false", "0 or 1");
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
    const message = isNew ? "first seen, without FD_DATA" : "seen before, with FD_DATA again";
    const expected = isNew ? "FD_DATA" : "no FD_DATA";
    this.#context.reportField("E_FD_ENTRY", entry, "objref", { message, expected });
  }

  #data(node: RecordNodeOf<"FD_DATA">): void {
    this.#hasData = true;
    if (!FD_TYPES.includes(node.fields.fd_type)) {
      this.#context.reportField("E_FD_TYPE", node, "fd_type", { expected: FD_TYPES.join(" or ") });
    }
    const objref = this.#entry?.fields.objref;
    if (objref === undefined || node.header.parent === objref) return;
    const values = { expected: String(objref), actual: String(node.header.parent), at: 4 };
    this.#context.report("E_PARENT", node, { message: "not the objref of the descriptor", ...values });
  }

  #closeFiles(): void {
    this.#closeEntry();
    this.#entry = undefined;
    const files = this.#files;
    this.#files = undefined;
    if (files === undefined || files.fields.nfds === this.#entries) return;
    this.#context.reportField("E_FD_COUNT", files, "nfds", { expected: String(this.#entries) });
  }
}
