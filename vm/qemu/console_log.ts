// SPDX-License-Identifier: MIT

/** Text by which the kernel tells that it cannot go on, or that it goes on damaged. */
const FATAL = /Kernel panic - not syncing|Oops(?::| \[#| - )|BUG: unable to handle|general protection fault/;
/** Bytes of the past that are looked at again, so that a message cut in two by the stream is found. */
const OVERLAP = 128;

/**
 * The bytes that a guest wrote on its console, with the offset of each since the guest began. The last ones
 * are kept, up to a limit; offsets stay true.
 */
export class ConsoleLog {
  readonly #limit: number;
  #bytes = new Uint8Array(64 * 1024);
  #length = 0;
  #dropped = 0;
  readonly #fatal = Promise.withResolvers<string>();
  #sawFatal = false;
  #grown = Promise.withResolvers<void>();

  /** @param limit bytes that are kept at least (and twice as many at most). */
  constructor(limit: number = 2 * 1024 * 1024) {
    if (!(limit >= 1)) throw new RangeError(`limit of a console log: expected 1 or more, found ${limit}`);
    this.#limit = limit;
  }

  /** Bytes that were written so far: the offset of the next one. */
  get offset(): number {
    return this.#dropped + this.#length;
  }

  /** Offset of the first byte that is still kept. */
  get start(): number {
    return this.#dropped;
  }

  /** Settles when the next bytes come in; never rejects. */
  get grown(): Promise<void> {
    return this.#grown.promise;
  }

  /** Settles when the kernel reports a fatal error, with what has come of the line by then; never rejects. */
  get fatal(): Promise<string> {
    return this.#fatal.promise;
  }

  /** Whether the kernel has reported a fatal error. */
  get sawFatal(): boolean {
    return this.#sawFatal;
  }

  /** The line of the first fatal error that is kept, as far as it has come; undefined without one. */
  get fatalLine(): string | undefined {
    return this.#sawFatal ? this.text().split("\n").find((line) => FATAL.test(line)) : undefined;
  }

  /** Adds bytes as they come in. */
  append(chunk: Uint8Array): void {
    this.#reserve(chunk.length);
    this.#bytes.set(chunk, this.#length);
    this.#length += chunk.length;
    this.#lookForFatal(chunk.length);
    if (this.#length > 2 * this.#limit) {
      const cut = this.#length - this.#limit;
      this.#bytes.copyWithin(0, cut, this.#length);
      this.#length -= cut;
      this.#dropped += cut;
    }
    this.#grown.resolve();
    this.#grown = Promise.withResolvers<void>();
  }

  /** A copy of the bytes in [from, to); what is no longer kept is left out. */
  bytes(from = 0, to: number = this.offset): Uint8Array {
    const index = (offset: number) => Math.min(Math.max(offset - this.#dropped, 0), this.#length);
    return this.#bytes.slice(index(from), Math.max(index(from), index(to)));
  }

  /** The bytes in [from, to) as text: undecodable ones as U+FFFD, NUL as U+2400, no carriage returns. */
  text(from = 0, to: number = this.offset): string {
    return new TextDecoder().decode(this.bytes(from, to)).replaceAll("\r", "").replaceAll("\0", "\u2400");
  }

  /** The last lines, as text that ends in a newline, or an empty string. */
  tail(lines = 40): string {
    const kept = this.text().replace(/\n+$/, "").split("\n").slice(-lines).join("\n");
    return kept === "" ? "" : `${kept}\n`;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(this.#bytes.length * 2, this.#length + more));
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
  }

  #lookForFatal(added: number): void {
    if (this.#sawFatal) return;
    const recent = this.text(Math.max(0, this.offset - added - OVERLAP));
    const line = recent.split("\n").find((candidate) => FATAL.test(candidate));
    if (line === undefined) return;
    this.#sawFatal = true;
    this.#fatal.resolve(line);
  }
}
