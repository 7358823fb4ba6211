// SPDX-License-Identifier: MIT
import type { RecordName } from "./records.ts";

/** Makes the path of each record from the records before it. */
export class ImagePath {
  #task = -1;
  #vma = -1;
  #pgarr = -1;
  #fd = -1;
  #buffer = -1;
  #unknown = -1;
  /** What an FNAME belongs to. */
  #named = "";

  /** Path of the next record. Counts it. */
  next(name: RecordName): string {
    switch (name) {
      case "HEAD":
      case "HEAD_ARCH":
      case "TREE":
      case "TAIL":
        return name.toLowerCase();
      case "TASK":
        return this.#nextTask();
      case "STRING":
        return this.#inTask("comm");
      case "VMA":
        this.#vma++;
        this.#pgarr = -1;
        return this.#named = this.#inTask(`vma[${this.#vma}]`);
      case "PGARR":
        return `${this.#inTask(`vma[${this.#vma}]`)}/pgarr[${++this.#pgarr}]`;
      case "FNAME":
        return this.#named === "" ? this.#inTask("fname") : `${this.#named}/fname`;
      case "FD_ENT":
        this.#fd++;
        return this.#named = this.#inTask(`files/fd[${this.#fd}]`);
      case "FD_DATA":
        return this.#inTask(`files/fd[${this.#fd}]/data`);
      case "BUFFER":
        return this.#inTask(`buffer[${++this.#buffer}]`);
      case "X86_FSGSBASE":
        return this.#inTask("fsgsbase");
      default:
        return this.#inTask(name.toLowerCase());
    }
  }

  /** Path of the next record of a type that has no name. */
  nextUnknown(): string {
    return this.#inTask(`unknown[${++this.#unknown}]`);
  }

  #nextTask(): string {
    this.#task++;
    this.#vma =
      this.#pgarr =
      this.#fd =
      this.#buffer =
      this.#unknown =
        -1;
    this.#named = "";
    return `task[${this.#task}]`;
  }

  #inTask(rest: string): string {
    return this.#task < 0 ? rest : `task[${this.#task}]/${rest}`;
  }
}
