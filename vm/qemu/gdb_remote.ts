// SPDX-License-Identifier: MIT

import { byteText } from "../../lib/printable.ts";

/** More of an answer than QEMU puts into a packet. */
const MAX_PACKET = 16 << 10;
/** Bytes of a write: two digits each, in a packet of 4 KiB. */
const WRITE_BYTES = 1024;

/** gdb's remote protocol, as far as a breakpoint and memory need it; to a guest that stands still. */
export class GdbRemote {
  readonly #conn: Pick<Deno.Conn, "read" | "write">;
  #text = "";

  constructor(conn: Pick<Deno.Conn, "read" | "write">) {
    this.#conn = conn;
  }

  /** Has the guest stop wherever a program comes to an address. */
  async breakAt(address: bigint): Promise<void> {
    await this.#expectOk(`Z0,${address.toString(16)},1`);
  }

  /** Lets the guest go on, from another address where one is given; done when it stops again. */
  async goOn(address?: bigint): Promise<void> {
    const answer = await this.#ask(`c${address?.toString(16) ?? ""}`);
    if (!answer.startsWith("T05")) throw new SyntaxError(`gdb's protocol: expected T05, found ${answer}`);
  }

  /** Reads what is at an address of the program that stopped. */
  async read(address: bigint, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const answer = await this.#ask(`m${address.toString(16)},${length.toString(16)}`);
    if (!/^[\da-f]*$/.test(answer) || answer.length !== 2 * length) {
      throw new SyntaxError(`gdb's protocol: expected ${length} bytes at 0x${address.toString(16)}`);
    }
    return Uint8Array.fromHex(answer);
  }

  /** Writes to its memory, whatever its protection. */
  async write(address: bigint, bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += WRITE_BYTES) {
      const part = bytes.subarray(at, at + WRITE_BYTES);
      const place = (address + BigInt(at)).toString(16);
      await this.#expectOk(`M${place},${part.length.toString(16)}:${part.toHex()}`);
    }
  }

  async #expectOk(request: string): Promise<void> {
    const answer = await this.#ask(request);
    if (answer !== "OK") throw new SyntaxError(`gdb's protocol: expected OK, found ${answer}`);
  }

  /** No packet is acknowledged: a byte more than a packet would stop a guest that goes on. */
  async #ask(request: string): Promise<string> {
    let sum = 0;
    for (const char of request) sum += char.charCodeAt(0);
    const bytes = new TextEncoder().encode(`$${request}#${(sum & 0xff).toString(16).padStart(2, "0")}`);
    for (let at = 0; at < bytes.length;) at += await this.#conn.write(bytes.subarray(at));
    const buffer = new Uint8Array(MAX_PACKET);
    for (;;) {
      const [packet, content] = /^\+*\$([^#]*)#../.exec(this.#text) ?? [];
      if (packet !== undefined) {
        this.#text = this.#text.slice(packet.length);
        return content!;
      }
      const count = await this.#conn.read(buffer);
      if (count === null) throw new Deno.errors.UnexpectedEof("gdb's protocol: QEMU has ended");
      this.#text += byteText(buffer.subarray(0, count));
      if (this.#text.length > 2 * MAX_PACKET) throw new SyntaxError("gdb's protocol: an endless packet");
    }
  }
}
