// SPDX-License-Identifier: MIT
import { ERRNO, type ErrnoName, MAX_ERRNO } from "../../lib/abi/errno.ts";
import { SIGNALS } from "../../lib/abi/signals.ts";
import { type SyscallName, syscallNumber } from "../../lib/model/syscall_numbers.ts";
import type { GuestInfo, MountOptions, SyscallArgument } from "./agent_types.ts";
import { AgentError } from "./agent_wires.ts";

const O_RDWR = 2;

/** What is done with the system calls that the agent of a guest makes. */
export abstract class GuestCalls {
  /** What the agent said of itself and its kernel. */
  abstract readonly info: GuestInfo;
  /** Whether something was mounted since all was cleaned away. */
  protected hasMounts = false;

  /** Makes a system call: what it returned, an errno as a negative number, and the bytes of its last buffer. */
  abstract syscall(
    nr: number,
    ...args: readonly SyscallArgument[]
  ): Promise<{ result: bigint; bytes: Uint8Array }>;

  /**
   * Makes a system call that must succeed, by its name.
   *
   * @throws {AgentError} naming the call and its errno
   */
  async call(
    name: SyscallName,
    ...args: readonly SyscallArgument[]
  ): Promise<{ result: number; bytes: Uint8Array }> {
    const { result, bytes } = await this.syscall(syscallNumber(name, this.info.wordSize), ...args);
    if (result >= 0n || result < -BigInt(MAX_ERRNO)) return { result: Number(result), bytes };
    const shown = args.map((arg) => typeof arg === "object" ? `${arg.length} bytes` : String(arg));
    throw new AgentError(`${name}(${shown.join(", ")})`, Number(-result), "the system call");
  }

  /** Moves the position of a descriptor of the agent's own, with all 64 bits on i386 too; gives where it is then. */
  async seek(fd: number, offset: number, whence: number): Promise<number> {
    if (this.info.wordSize === 8) return (await this.call("lseek", fd, offset, whence)).result;
    const [high, low] = [BigInt(offset) >> 32n, BigInt.asUintN(32, BigInt(offset))];
    const { bytes } = await this.call("_llseek", fd, high, low, new Uint8Array(8), whence);
    return Number(new DataView(bytes.buffer).getBigUint64(0, true));
  }

  /** Lets a stopped process go on. */
  cont(pid: number): Promise<void> {
    return this.signal(pid, SIGNALS.SIGCONT);
  }

  /** Sends a signal and waits for nothing. */
  async signal(pid: number, signal: number): Promise<void> {
    await this.call("kill", pid, signal);
  }

  /**
   * Writes some bytes into the memory of a process as a debugger does: past the protection, to a private
   * copy of the page.
   *
   * @returns what was there before
   */
  async poke(pid: number, address: bigint, bytes: Uint8Array): Promise<Uint8Array> {
    const { result: fd } = await this.call("open", `/proc/${pid}/mem`, O_RDWR);
    const offset = this.info.wordSize === 8 ? [address] : [address & 0xffffffffn, address >> 32n];
    try {
      const { bytes: old } = await this.call(
        "pread64",
        fd,
        new Uint8Array(bytes.length),
        bytes.length,
        ...offset,
      );
      await this.call("pwrite64", fd, bytes, bytes.length, ...offset);
      return old;
    } finally {
      await this.call("close", fd);
    }
  }

  /** Makes a directory; one that is there already will do. */
  async mkdir(path: string): Promise<void> {
    await this.call("mkdir", path, 0o777).catch(unless("EEXIST"));
  }

  async mount({ type, directory, source = type, data = "" }: MountOptions): Promise<void> {
    await this.call("mount", source, directory, type, 0, data);
    this.hasMounts = true;
  }
}

/** Swallows the error of the agent's that does no harm. */
export function unless(name: ErrnoName): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof AgentError) || error.errno !== ERRNO[name]) throw error;
  };
}
