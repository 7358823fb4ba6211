// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import type { KernelSource } from "../../vm/kernel/source/kernel_source.ts";
import type { SyscallNumbers } from "../../vm/kernel/syscall_numbers.ts";
import { KERNEL_FLAVOURS } from "../../vm/kernel/config/kernel_flavour.ts";
import { isFilter, SCENARIO_DIRECTORY } from "../run/catalogue.ts";
import type { GuestRequest } from "../run/guest/plan_guest.ts";
import { parsePlatforms, type Platform } from "../run/platform.ts";
import { parseBytes } from "../run/quantity.ts";
import {
  existing,
  flag,
  kindOf,
  oneOf,
  type OptionValues,
  value,
  values,
  valuesOrWords,
  wholeNumber,
} from "./options.ts";

const FILTER_HELP = "only the scenario of that name, or those whose names contain TEXT or match /TEXT/";
const FILTER = {
  ...kindOf({ metavar: "TEXT", what: "a text or /a regular expression/", parse: isFilter }),
  *suggest(prefix: string) {
    for (const { name: family } of Deno.readDirSync(SCENARIO_DIRECTORY)) {
      for (const { name } of Deno.readDirSync(join(SCENARIO_DIRECTORY, family))) {
        const text = name.replace(/\.json$/, "");
        if (text.startsWith(prefix)) yield { kind: "literal", text } as const;
      }
    }
  },
};

/** Which scenarios. */
export const FILTER_OPTION = { filter: values(FILTER, FILTER_HELP) };

/** The same, with or without `--filter`. */
export const FILTER_WORDS = { filter: valuesOrWords(FILTER, FILTER_HELP) };

/** Which jobs of a nightly run. */
export const MATRIX_OPTIONS = {
  matrix: value("FILE", "what to run; fixtures/nightly.json by default"),
  only: values("TEXT", "only jobs whose name contains TEXT"),
  ...FILTER_OPTION,
};

/** Which architectures. */
export const ARCH_OPTION = { arch: value("LIST", "platforms, separated by commas, or all") };

/** How many guests. */
export const JOBS_OPTION = {
  jobs: value(
    wholeNumber(1, 64),
    "how many guests run side by side; as many as there are processors by default",
  ),
};

/** The kind of kernel. */
export const FLAVOUR_OPTION = {
  flavour: value(
    oneOf(KERNEL_FLAVOURS),
    "debug has KASAN, lockdep and kmemleak, fault injects faults, smp has four processors",
  ),
};

/** A tree of sources; whether it is one of a kernel shows when it is looked at. */
export const TREE = existing(
  "DIR",
  "a kernel source tree, which has a Makefile",
  (path) => Deno.statSync(join(path, "Makefile")).isFile,
);

/** The tree that the kernel is built from. */
export const TREE_OPTIONS = {
  kernelTree: value(
    TREE,
    "a kernel source tree in place of Debian's; unless it has the patch, a copy gets it",
  ),
  asIs: flag("build the tree of --kernel-tree without looking for the patch or adding it"),
};

/** Which kernel source is built. */
export const SOURCE_OPTIONS = {
  series: value("LIST", "kernels of Debian, separated by commas: 5.10, 6.1 (default), 6.12"),
  ...TREE_OPTIONS,
};

/** How guests run. */
export const ACCELERATOR_OPTION = {
  accel: value(oneOf(["auto", "kvm", "tcg"]), "kvm or tcg, in place of the probe"),
};

/** Which results are printed. */
export const QUIET_OPTION = { quiet: flag("print failures and the summary alone") };

/** Where results go, and which are printed. */
export const OUT_OPTION = {
  out: value("DIR", "where the results go; a new directory below the cache by default"),
  ...QUIET_OPTION,
};

/** The same of a run that can be interrupted. */
export const RUN_OUT_OPTIONS = {
  ...OUT_OPTION,
  resume: flag("go on with the run that was interrupted in the directory of --out"),
};

/** The command line of a run, for the one that goes on with it: without what says where. */
export function argsToResume(args: readonly string[]): string[] {
  return args.filter((arg, at) =>
    arg !== "--resume" && arg !== "--out" && args[at - 1] !== "--out" && !arg.startsWith("--out=")
  );
}

/** The platform of a command that takes one; x86_64 by default. */
export function onePlatformOption(arch: string | undefined): Platform {
  const [platform, ...more] = parsePlatforms({ arch, fallback: "x86_64" });
  if (!platform || more.length > 0) throw new UsageError("option --arch takes one platform here");
  return platform;
}

/** The source tree that a command line asks for; undefined for Debian's of the platform's series. */
export function kernelSourceOption(
  { kernelTree, asIs }: OptionValues<typeof TREE_OPTIONS>,
): KernelSource | undefined {
  if (kernelTree !== undefined) return { kind: "directory", path: kernelTree, ...asIs ? { asIs } : {} };
  if (asIs) throw new UsageError("option --as-is needs --kernel-tree DIR");
  return undefined;
}

/** What a command line says of a user kernel: one that the project does not make itself. */
type UserKernel = Pick<
  GuestRequest,
  "kernelFile" | "configFile" | "moreOptions" | "syscall" | "channel" | "self" | "dialect"
>;

const MEMORY = kindOf({
  ...{ metavar: "SIZE", what: "a size from 64M to 1T" },
  parse: (text) => memoryMiB(text) && text,
});

/** Options of the machine that a kernel is booted on. */
export const MACHINE_OPTIONS = {
  append: values("ARG", "a kernel parameter, behind those of every guest"),
  cpus: value(wholeNumber(1, 64), "processors of the guest; more than one needs a kernel with CONFIG_SMP"),
  memory: value(MEMORY, "memory of the guest, as its scenarios and its kernel need by default"),
};

/** What {@linkcode MACHINE_OPTIONS} ask for. */
export function machineRequest(
  { append, cpus, memory }: OptionValues<typeof MACHINE_OPTIONS>,
): Pick<GuestRequest, "append" | "cpus" | "memoryMiB"> {
  return { append, ...cpus && { cpus }, ...memory && { memoryMiB: memoryMiB(memory) } };
}

function memoryMiB(text: string): number | undefined {
  const size = Math.floor((parseBytes(text) ?? 0) / 2 ** 20);
  return size >= 64 && size <= 2 ** 20 ? size : undefined;
}

const SYSCALL_MAX = 1023;
const SYSCALL = kindOf({
  metavar: "NR",
  what: `a number from 1 to ${SYSCALL_MAX}, or x86_64=NR,i386=NR`,
  parse: (text) => parseSyscallNumbers(text) && text,
});

const KCONFIG_OPTION = kindOf({
  ...{ metavar: "OPTION", what: "CONFIG_X=VALUE, such as CONFIG_KASAN=y or CONFIG_KSM=n" },
  parse: (text) => /^CONFIG_[A-Z0-9_a-z]+=\S+$/.test(text) ? text : undefined,
});

/** Options of a kernel that is built as the user wants it. */
export const BUILT_KERNEL_OPTIONS = {
  kernelConfig: value(
    existing("FILE", "a .config that is there", (path) => Deno.statSync(path).isFile),
    "a whole .config for the kernel that is built, in place of the project's",
  ),
  kconfigAdd: values(KCONFIG_OPTION, "an option of the kernel that is built, over all others"),
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

/** The kernel of a command that looks into one guest. */
export const ONE_KERNEL_OPTIONS = {
  ...TREE_OPTIONS,
  bzimage: USER_KERNEL_OPTIONS.bzimage,
  kernelConfig: USER_KERNEL_OPTIONS.kernelConfig,
  kconfigAdd: USER_KERNEL_OPTIONS.kconfigAdd,
  syscall: USER_KERNEL_OPTIONS.syscall,
  dialect: USER_KERNEL_OPTIONS.dialect,
  ...MACHINE_OPTIONS,
  ...ACCELERATOR_OPTION,
};

/** What {@linkcode ONE_KERNEL_OPTIONS} ask for. */
export function oneKernelRequest(
  options: OptionValues<typeof ONE_KERNEL_OPTIONS>,
): UserKernel & Partial<GuestRequest> {
  const [source, accelerator] = [kernelSourceOption(options), options.accel];
  return { ...userKernelOptions(options), ...machineRequest(options), source, accelerator };
}

/**
 * Reads these options.
 *
 * @throws {UsageError} naming options that do not fit together
 */
export function userKernelOptions(
  { bzimage, kernelConfig, kconfigAdd = [], syscall, channel, self = false, dialect }: Partial<
    OptionValues<typeof USER_KERNEL_OPTIONS>
  >,
): UserKernel {
  const ofBuilt = kernelConfig !== undefined
    ? "--kernel-config"
    : kconfigAdd.length > 0
    ? "--kconfig-add"
    : undefined;
  if (bzimage !== undefined && ofBuilt !== undefined) {
    throw new UsageError(`option ${ofBuilt} is for a kernel that is built: it has no meaning with --bzimage`);
  }
  const named = kconfigAdd.map((option) => option.split("=", 1)[0]!);
  const twice = named.find((name, index) => named.indexOf(name) < index);
  if (twice !== undefined) throw new UsageError(`option --kconfig-add gives ${twice} a second time`);
  return {
    ...{ kernelFile: bzimage, configFile: kernelConfig, moreOptions: kconfigAdd, channel, self, dialect },
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
