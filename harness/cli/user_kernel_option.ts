// SPDX-License-Identifier: MIT

import type { SyscallNumbers } from "../../vm/kernel/syscall_numbers.ts";
import { UsageError } from "../../vm/host/errors.ts";
import type { GuestRequest } from "../run/guest/plan_guest.ts";
import { flag, kindOf, oneOf, type OptionValues, value } from "./options.ts";

/** What a command line says of a user kernel: one that the project does not make itself. */
type UserKernel = Pick<
  GuestRequest,
  "kernelFile" | "configFile" | "syscall" | "channel" | "self" | "dialect"
>;

const SYSCALL_MAX = 1023;
const SYSCALL = kindOf({
  metavar: "NR",
  what: `a number from 1 to ${SYSCALL_MAX}, or x86_64=NR,i386=NR`,
  parse: (text) => parseSyscallNumbers(text) && text,
});

/** Options of a kernel that is built as the user wants it. */
export const BUILT_KERNEL_OPTIONS = {
  kernelConfig: value("FILE", "a whole .config for the kernel that is built, in place of the project's"),
  channel: value(
    oneOf(["virtio", "serial"]),
    "how the agent is reached; serial is slow, and needs no virtio",
  ),
};

/** Options that describe a user kernel. */
export const USER_KERNEL_OPTIONS = {
  bzimage: value("FILE", "a ready kernel with the patch, bzImage or vmlinux, in place of ours", "--kernel"),
  ...BUILT_KERNEL_OPTIONS,
  syscall: value(SYSCALL, "the number of its system call; of 64- and 32-bit programs (probed otherwise)"),
  self: flag("for kernels on which a task can only checkpoint itself: stops become self-checkpoints"),
  dialect: value(oneOf(["port", "v11"]), "by whose rules images are judged; as their head says by default"),
};

/**
 * Reads these options.
 *
 * @throws {UsageError} naming options that do not fit together
 */
export function userKernelOptions(
  { bzimage, kernelConfig, syscall, channel, self = false, dialect }: Partial<
    OptionValues<typeof USER_KERNEL_OPTIONS>
  >,
): UserKernel {
  if (bzimage !== undefined && kernelConfig !== undefined) {
    throw new UsageError(
      "option --kernel-config is for a kernel that is built: it has no meaning with --bzimage",
    );
  }
  return {
    ...{ kernelFile: bzimage, configFile: kernelConfig, channel, self, dialect },
    syscall: syscall === undefined ? undefined : parseSyscallNumbers(syscall),
  };
}

function parseSyscallNumbers(text: string): SyscallNumbers | undefined {
  const words = text.includes("=") ? text.split(",") : [`x86_64=${text}`, `i386=${text}`];
  const numbers = new Map<string, number>();
  for (const word of words) {
    const [, arch, digits] = /^(x86_64|i386)=(\d+)$/.exec(word) ?? [];
    const number = Number(digits);
    if (arch === undefined || numbers.has(arch) || number < 1 || number > SYSCALL_MAX) return undefined;
    numbers.set(arch, number);
  }
  const [only] = numbers.values();
  return { x86_64: numbers.get("x86_64") ?? only!, i386: numbers.get("i386") ?? only! };
}
