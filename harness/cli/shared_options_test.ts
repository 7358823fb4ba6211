// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { resolve } from "@std/path";
import { UsageError } from "../../vm/host/errors.ts";
import {
  argsToResume,
  kernelSourceOption,
  MACHINE_OPTIONS,
  machineRequest,
  SOURCE_OPTIONS,
  USER_KERNEL_OPTIONS,
  userKernelOptions,
} from "./shared_options.ts";
import { optionArgs, optionsParser, parseArguments } from "./options.ts";

/** It has a Makefile. */
const TREE = "vm/kernel/overlay/checkpoint";

Deno.test("kernelSourceOption() takes a tree, and leaves the series to the platform", () => {
  const source = (...args: string[]) =>
    kernelSourceOption(parseArguments(optionsParser(SOURCE_OPTIONS), args));
  assertEquals(source(), undefined);
  assertEquals(source("--series", "6.12"), undefined);
  assertEquals(source("--kernel-tree", TREE), { kind: "directory", path: resolve(TREE) });
  assertEquals(source("--kernel-tree", TREE, "--as-is"), {
    kind: "directory",
    path: resolve(TREE),
    asIs: true,
  });
  assertThrows(() => source("--as-is"), UsageError, "--as-is needs --kernel-tree");
});

Deno.test("argsToResume() keeps everything but what says where the results go", () => {
  const args = (...given: string[]) => argsToResume(given);
  assertEquals(args("--filter", "out", "--out", "a", "word"), ["--filter", "out", "word"]);
  assertEquals(args("--out=a", "--resume", "--filter=x"), ["--filter=x"]);
});

function parse(...args: string[]) {
  return parseArguments(optionsParser({ ...SOURCE_OPTIONS, ...USER_KERNEL_OPTIONS }), args);
}

Deno.test("userKernelOptions() reads file, numbers, channel and --self", () => {
  const read = (...args: string[]) => userKernelOptions(parse(...args));
  assertEquals(read(), {
    kernelFile: undefined,
    configFile: undefined,
    moreOptions: [],
    syscall: undefined,
    channel: undefined,
    self: false,
    dialect: undefined,
  });
  assertEquals(read("--bzimage", "b", "--syscall", "467", "--channel", "serial", "--self"), {
    kernelFile: resolve("b"),
    configFile: undefined,
    moreOptions: [],
    syscall: { x86_64: 467, i386: 467 },
    channel: "serial",
    self: true,
    dialect: undefined,
  });
  assertEquals(read("--dialect", "v11").dialect, "v11");
  assertEquals(read("--kernel", "k").kernelFile, resolve("k"));
  assertEquals(read("--kernel-config", "deno.json").configFile, resolve("deno.json"));
  assertEquals(read("--syscall", "i386=333,x86_64=295").syscall, { x86_64: 295, i386: 333 });
  assertEquals(read("--syscall", "i386=333").syscall, { x86_64: 333, i386: 333 });
});

Deno.test("userKernelOptions() says what an option takes and what was found", () => {
  const fails = (message: string, ...args: string[]) =>
    assertThrows(() => userKernelOptions(parse(...args)), UsageError, message);
  fails("--kernel cannot be used multiple times", "--bzimage", "a", "--kernel", "b");
  fails("no meaning with --bzimage", "--bzimage", "a", "--kernel-config", "deno.json");
  fails("no meaning with --bzimage", "--bzimage", "a", "--kconfig-add", "CONFIG_A=y");
  fails("--kconfig-add takes CONFIG_X=VALUE, such as CONFIG_KASAN=y", "--kconfig-add", "KASAN");
  fails("gives CONFIG_A a second time", "--kconfig-add", "CONFIG_A=y", "--kconfig-add", "CONFIG_A=n");
  fails('option --channel takes virtio, serial: found "net"', "--channel", "net");
  fails('option --dialect takes port, v11: found "v12"', "--dialect", "v12");
  for (const text of ["0", "x", "1024", "arm=3", "i386=1,i386=2", "i386="]) {
    fails(`or x86_64=NR,i386=NR: found "${text}"`, "--syscall", text);
  }
});

Deno.test("machineRequest() reads parameters, processors and memory", () => {
  const read = (...args: string[]) => machineRequest(parseArguments(optionsParser(MACHINE_OPTIONS), args));
  assertEquals(read(), { append: [] });
  const args = ["--append", "nopti", "--append", "loglevel=7", "--cpus", "2", "--memory", "1G"];
  assertEquals(read(...args), { append: ["nopti", "loglevel=7"], cpus: 2, memoryMiB: 1024 });
  for (const wrong of ["63M", "2T", "much", "-1"]) {
    assertThrows(() => read("--memory", wrong), UsageError, `takes a size from 64M to 1T: found "${wrong}"`);
  }
  assertThrows(() => read("--cpus", "0"), UsageError, "option --cpus takes a whole number from 1 to 64");
});

Deno.test("optionArgs() gives everything that names the kernel, for another command line", () => {
  const args = [
    "--series",
    "6.1",
    "--kernel-tree",
    resolve(TREE),
    "--bzimage",
    "/b",
    "--channel",
    "serial",
    "--as-is",
    "--kconfig-add",
    "CONFIG_A=y",
    "--self",
  ];
  assertEquals(
    optionArgs(parse(...args), { ...SOURCE_OPTIONS, ...USER_KERNEL_OPTIONS }).toSorted(),
    args.toSorted(),
  );
});
