// SPDX-License-Identifier: MIT

const START_A = 0x811c9dc5 | 0;
const START_B = 0x9747b28c | 0;
const MULTIPLIER_A = 0x01000193;
const MULTIPLIER_B = 0x85ebca6b | 0;

/**
 * The digest of blocks between guest and host: two 32-bit lanes over little-endian words, zero-padded at
 * the end. The other statement of it is `vm/guest/common/hash.c`. It finds accidents on the way, not forgery.
 */
export class BlockHash {
  #a = START_A;
  #b = START_B;
  #length = 0;
  readonly #tail = new Uint8Array(4);
  #tailBytes = 0;

  /** Number of bytes so far. */
  get length(): number {
    return this.#length;
  }

  /** Takes the next bytes of the block, in portions of any size. */
  update(bytes: Uint8Array): this {
    this.#length += bytes.length;
    let at = 0;
    while (this.#tailBytes > 0 && at < bytes.length) this.#takeByte(bytes[at++] ?? 0);
    const whole = (bytes.length - at) & ~3;
    this.#takeWords(bytes.subarray(at, at + whole));
    for (at += whole; at < bytes.length; at++) this.#takeByte(bytes[at] ?? 0);
    return this;
  }

  /** The digest as 16 hexadecimal digits, as it stands in the protocol. */
  hex(): string {
    return this.digest().toString(16).padStart(16, "0");
  }

  /** The digest of everything so far as a number, lane a in the high half. The hash may be updated further. */
  digest(): bigint {
    const copy = new BlockHash();
    copy.#a = this.#a;
    copy.#b = this.#b;
    if (this.#tailBytes > 0) {
      const padded = new Uint8Array(4);
      padded.set(this.#tail.subarray(0, this.#tailBytes));
      copy.#takeWords(padded);
    }
    const length = this.#length % 2 ** 32;
    return BigInt((copy.#a ^ length) >>> 0) << 32n | BigInt((copy.#b + length) >>> 0);
  }

  #takeByte(byte: number): void {
    this.#tail[this.#tailBytes++] = byte;
    if (this.#tailBytes < 4) return;
    this.#tailBytes = 0;
    this.#takeWords(this.#tail);
  }

  /** Takes a whole number of words, wherever they lie. */
  #takeWords(bytes: Uint8Array): void {
    // The hosts that Deno runs on are little-endian, as x86 is.
    const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    this.#mix(new Uint32Array(buffer, byteOffset, bytes.length / 4));
  }

  #mix(words: Uint32Array): void {
    let a = this.#a;
    let b = this.#b;
    for (let i = 0; i < words.length; i++) {
      const word = words[i] as number;
      a = Math.imul(a ^ word, MULTIPLIER_A);
      a ^= a >>> 15;
      b = Math.imul((b + word) | 0, MULTIPLIER_B);
      b ^= b >>> 13;
    }
    this.#a = a;
    this.#b = b;
  }
}

/** The digest of one block. */
export function blockHash(bytes: Uint8Array): bigint {
  return new BlockHash().update(bytes).digest();
}

/** The same as 16 hexadecimal digits. */
export function blockHashHex(bytes: Uint8Array): string {
  return new BlockHash().update(bytes).hex();
}
