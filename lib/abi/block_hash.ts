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
  /** Bytes that are no whole word yet, the first one lowest. */
  #tail = 0;
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
    const [a, b] = this.#tailBytes > 0
      ? [mixA(this.#a, this.#tail), mixB(this.#b, this.#tail)]
      : [this.#a, this.#b];
    const length = this.#length % 2 ** 32;
    return BigInt((a ^ length) >>> 0) << 32n | BigInt((b + length) >>> 0);
  }

  #takeByte(byte: number): void {
    this.#tail |= byte << (8 * this.#tailBytes++);
    if (this.#tailBytes < 4) return;
    this.#a = mixA(this.#a, this.#tail);
    this.#b = mixB(this.#b, this.#tail);
    this.#tail = this.#tailBytes = 0;
  }

  /** Takes a whole number of words, wherever they lie. */
  #takeWords(bytes: Uint8Array): void {
    // The hosts that Deno runs on are little-endian, as x86 is.
    const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
    const words = new Int32Array(buffer, byteOffset, bytes.length / 4);
    let a = this.#a;
    let b = this.#b;
    for (let i = 0; i < words.length; i++) {
      const word = words[i] as number;
      a = mixA(a, word);
      b = mixB(b, word);
    }
    this.#a = a;
    this.#b = b;
  }
}

function mixA(lane: number, word: number): number {
  const mixed = Math.imul(lane ^ word, MULTIPLIER_A);
  return mixed ^ (mixed >>> 15);
}

function mixB(lane: number, word: number): number {
  const mixed = Math.imul((lane + word) | 0, MULTIPLIER_B);
  return mixed ^ (mixed >>> 13);
}

/** The digest of one block. */
export function blockHash(bytes: Uint8Array): bigint {
  return new BlockHash().update(bytes).digest();
}

/** The same as 16 hexadecimal digits. */
export function blockHashHex(bytes: Uint8Array): string {
  return new BlockHash().update(bytes).hex();
}
