// SPDX-License-Identifier: MIT

import type { Dialect } from "../../lib/abi/dialect.ts";
import type { SyscallNumbers } from "../../vm/kernel/syscall_numbers.ts";
import type { GuestChannel } from "../../vm/qemu/qemu_arguments.ts";
import { UsageError } from "../../vm/host/errors.ts";
import type { OptionSpecs, ParsedOptions } from "./parse_options.ts";

/** What a command line says of a user kernel: one that the project does not make itself. */
interface UserKernel {
  /** A ready kernel. */
  readonly kernelFile?: string | undefined;
  /** The configuration of the kernel that is built. */
  readonly configFile?: string | undefined;
  /** The number of the system call; undefined where nobody said it. */
  readonly syscall?: SyscallNumbers | undefined;
  /** How the agent is reached; undefined where the kernel's configuration decides. */
  readonly channel?: GuestChannel | undefined;
  /** Whether tasks can only checkpoint themselves. */
  readonly self: boolean;
  /** By whose rules the images are judged; undefined where the images say it. */
  readonly dialect?: Dialect | undefined;
}

/** Options that describe a user kernel. */
export const USER_KERNEL_OPTIONS = {
  bzimage: ["FILE", "a ready kernel that carries the patch, bzImage or vmlinux, in place of our build"],
  kernel: ["FILE", "the same as --bzimage"],
  "kernel-config": ["FILE", "a whole .config for the kernel that is built, in place of the project's"],
  syscall: [
    "NR",
    "the number of its system call; of 64- and 32-bit programs: x86_64=NR,i386=NR (probed otherwise)",
  ],
  channel: ["NAME", "how the agent is reached: virtio, or serial for kernels without virtio ports (slow)"],
  self: "for kernels on which a task can only checkpoint itself: stops become self-checkpoints",
  dialect: [
    "NAME",
    "judge images as port or as v11, the code posted in 2008; by the revision in their head otherwise",
  ],
} satisfies OptionSpecs;

/**
 * Reads these options.
 *
 * @throws {UsageError} naming the option, what it takes and what was found
 */
export function userKernelOptions(options: ParsedOptions): UserKernel {
  const [bzimage, kernel] = [options.string("bzimage"), options.string("kernel")];
  if (bzimage !== undefined && kernel !== undefined) {
    throw new UsageError("options --bzimage and --kernel are one and the same: give one of them");
  }
  if ((bzimage ?? kernel) !== undefined && options.string("kernel-config") !== undefined) {
    throw new UsageError(
      "option --kernel-config is for a kernel that is built: it has no meaning with --bzimage",
    );
  }
  const text = options.string("syscall");
  return {
    kernelFile: bzimage ?? kernel,
    configFile: options.string("kernel-config"),
    syscall: text === undefined ? undefined : parseSyscallNumbers(text),
    channel: options.choice("channel", ["virtio", "serial"]),
    self: options.flag("self"),
    dialect: options.choice("dialect", ["port", "v11"]),
  };
}

const SYSCALL_MAX = 1023;

function parseSyscallNumbers(text: string): SyscallNumbers {
  const fail = () =>
    new UsageError(
      `option --syscall takes a number from 1 to ${SYSCALL_MAX}, or x86_64=NR,i386=NR: found "${text}"`,
    );
  const numberOf = (digits: string) => {
    const number = /^\d+$/.test(digits) ? Number(digits) : 0;
    if (number < 1 || number > SYSCALL_MAX) throw fail();
    return number;
  };
  if (!text.includes("=")) return { x86_64: numberOf(text), i386: numberOf(text) };
  const numbers = new Map<string, number>();
  for (const word of text.split(",")) {
    const [, arch, digits = ""] = /^(x86_64|i386)=(.*)$/.exec(word) ?? [];
    if (arch === undefined || numbers.has(arch)) throw fail();
    numbers.set(arch, numberOf(digits));
  }
  const [only] = numbers.values();
  return { x86_64: numbers.get("x86_64") ?? only!, i386: numbers.get("i386") ?? only! };
}
