// SPDX-License-Identifier: MIT

/** Blanks, comments of both kinds, and one that has no end. */
const BLANK = /\s+|\/\/[^\n]*|\/\*[^]*?\*\/|\/\*/y;
/** A string, a number or a word, a mark, or anything else. */
const TOKEN = /"(?:[^"\\\n]|\\.)*"|[-+.\w]+|[^]/y;

/**
 * Parses JSON with comments, `//` to the end of the line and those that C has. What looks like a comment within
 * a string stays. A comma before a closing bracket is a mistake, as in JSON.
 *
 * @throws {SyntaxError} with line and column, what was expected and what was found
 */
export function parseJsonc(text: string): unknown {
  const reader = new Reader(text);
  const value = reader.value();
  if (reader.token !== "") reader.fail("the end");
  return value;
}

class Reader {
  /** The next token; empty at the end. */
  token = "";
  readonly #text: string;
  #begin = 0;
  #end = 0;

  constructor(text: string) {
    this.#text = text;
    this.#next();
  }

  value(): unknown {
    if (this.token === "{") return this.#object();
    if (this.token === "[") return this.#array();
    try {
      const value: unknown = JSON.parse(this.token);
      this.#next();
      return value;
    } catch {
      return this.fail("a value");
    }
  }

  fail(expected: string): never {
    const found = this.token === "" ? "the end" : this.token;
    throw new SyntaxError(`${this.#place()}: expected ${expected}, found ${found}`);
  }

  #object(): unknown {
    const entries: [string, unknown][] = [];
    const names = new Set<string>();
    this.#list("}", () => {
      const key = this.token;
      if (!key.startsWith('"') || key.length < 2) this.fail("a name in quotes");
      const name = this.value() as string;
      if (names.has(name)) throw new SyntaxError(`${this.#place()}: the name ${key} is there twice`);
      names.add(name);
      if (this.token !== ":") this.fail("a colon");
      this.#next();
      entries.push([name, this.value()]);
    });
    return Object.fromEntries(entries);
  }

  #array(): unknown {
    const values: unknown[] = [];
    this.#list("]", () => void values.push(this.value()));
    return values;
  }

  /** Reads what is between brackets, with commas between the items. */
  #list(close: string, item: () => void): void {
    this.#next();
    if (this.token === close) return this.#next();
    for (;;) {
      item();
      if (this.token === close) return this.#next();
      if (this.token !== ",") this.fail(`a comma or ${close}`);
      this.#next();
    }
  }

  #next(): void {
    this.#begin = this.#end;
    for (;;) {
      BLANK.lastIndex = this.#begin;
      const blank = BLANK.exec(this.#text)?.[0];
      if (blank === undefined) break;
      if (blank === "/*") throw new SyntaxError(`${this.#place()}: the comment has no end`);
      this.#begin += blank.length;
    }
    TOKEN.lastIndex = this.#begin;
    this.token = TOKEN.exec(this.#text)?.[0] ?? "";
    this.#end = this.#begin + this.token.length;
  }

  #place(): string {
    const before = this.#text.slice(0, this.#begin).split("\n");
    return `line ${before.length}, column ${before.at(-1)!.length + 1}`;
  }
}
