// SPDX-License-Identifier: MIT

/**
 * The digest that guest and host compare blocks with: two 32-bit lanes over little-endian words, the last one padded
 * with zeros. Not cryptographic: it guards against lost, torn and swapped data, cheaply under emulation. The other
 * statement of it is `vm/guest/hash.c`.
 */
export class BlockHash {
  #a = 0x811c9dc5;
  #b = 0x9747b28c;
  #length = 0;
  readonly #rest = new Uint8Array(4);
  #restLength = 0;

  /** Adds bytes; blocks may be cut anywhere. */
  update(bytes: Uint8Array): this {
    this.#length += bytes.length;
    let at = 0;
    if (this.#restLength > 0) {
      while (this.#restLength < 4 && at < bytes.length) this.#rest[this.#restLength++] = bytes[at++]!;
      if (this.#restLength < 4) return this;
      this.#words(new Uint32Array(this.#rest.slice().buffer));
      this.#restLength = 0;
    }
    const whole = (bytes.length - at) & ~3;
    const part = bytes.subarray(at, at + whole);
    // A typed-array view needs an aligned start; a copy is cheaper than reading word by word.
    const aligned = part.byteOffset % 4 === 0 ? part : part.slice();
    this.#words(new Uint32Array(aligned.buffer, aligned.byteOffset, whole / 4));
    for (at += whole; at < bytes.length; at++) this.#rest[this.#restLength++] = bytes[at]!;
    return this;
  }

  /** The two lanes of everything so far. */
  lanes(): [number, number] {
    const tail = new BlockHash();
    tail.#a = this.#a;
    tail.#b = this.#b;
    if (this.#restLength > 0) {
      const padded = new Uint8Array(4);
      padded.set(this.#rest.subarray(0, this.#restLength));
      tail.#words(new Uint32Array(padded.buffer));
    }
    return [(tail.#a ^ this.#length) >>> 0, (tail.#b + this.#length) >>> 0];
  }

  /** The lanes as 16 hexadecimal digits. */
  hex(): string {
    return this.lanes().map((lane) => lane.toString(16).padStart(8, "0")).join("");
  }

  #words(words: Uint32Array): void {
    let a = this.#a;
    let b = this.#b;
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      a = Math.imul(a ^ word, 0x01000193);
      a ^= a >>> 15;
      b = Math.imul(b + word, 0x85ebca6b);
      b ^= b >>> 13;
    }
    this.#a = a;
    this.#b = b;
  }
}

/** The lanes of one block. */
export function blockHash(bytes: Uint8Array): [number, number] {
  return new BlockHash().update(bytes).lanes();
}
