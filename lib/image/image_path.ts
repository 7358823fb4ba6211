// SPDX-License-Identifier: MIT
import type { RecordName } from "./records.ts";

/** Makes the path of each record from the records before it. */
export class ImagePath {
  #tasks = 0;
  /** Records of each kind in the task so far; chunks in the mapping. */
  readonly #counts = new Map<string, number>();
  /** The mapping or the open file that FNAME, FD_DATA and PGARR belong to. */
  #owner = "";

  /** Path of the next record, `unknown` for one of a type that has no name. Counts it. */
  next(name: RecordName | "unknown"): string {
    switch (name) {
      case "HEAD":
      case "HEAD_ARCH":
      case "TREE":
      case "TAIL":
        return name.toLowerCase();
      case "TASK":
        this.#counts.clear();
        this.#owner = "";
        return `task[${this.#tasks++}]`;
      case "STRING":
        return this.#inTask("comm");
      case "VMA":
        this.#counts.delete("pgarr");
        return this.#owner = this.#inTask(this.#indexed("vma"));
      case "FD_ENT":
        return this.#owner = this.#inTask(`files/${this.#indexed("fd")}`);
      case "PGARR":
        return this.#owned(this.#indexed("pgarr"));
      case "FNAME":
        return this.#owned("fname");
      case "FD_DATA":
        return this.#owned("data");
      case "SIGACTION":
        return this.#inTask(this.#indexed("sigaction"));
      case "X86_FSGSBASE":
        return this.#inTask("fsgsbase");
      case "BUFFER":
      case "unknown":
        return this.#inTask(this.#indexed(name.toLowerCase()));
      default:
        return this.#inTask(name.toLowerCase());
    }
  }

  #indexed(kind: string): string {
    const count = this.#counts.get(kind) ?? 0;
    this.#counts.set(kind, count + 1);
    return `${kind}[${count}]`;
  }

  #owned(rest: string): string {
    return this.#owner === "" ? this.#inTask(rest) : `${this.#owner}/${rest}`;
  }

  #inTask(rest: string): string {
    return this.#tasks === 0 ? rest : `task[${this.#tasks - 1}]/${rest}`;
  }
}
