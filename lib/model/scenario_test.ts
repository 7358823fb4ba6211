// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { parseScenario, ScenarioError } from "./scenario.ts";

const ABOUT = "a scenario of a test";
const STOP = { op: "stop", label: "s" };

function refused(scenario: Record<string, unknown>, message: string): void {
  assertThrows(() => parseScenario({ about: ABOUT, ...scenario }, "x.json"), ScenarioError, message);
}

function refusedStep(step: Record<string, unknown>, message: string): void {
  refused({ steps: [step, STOP] }, `x.json: $.steps[0].${message}`);
}

Deno.test("parseScenario() names a scenario after its file, and drops what is for editors", () => {
  const { name, ...rest } = parseScenario(
    { $schema: "../x.json", about: ABOUT, steps: [STOP] },
    "a/b/mine.json",
  );
  assertEquals([name, rest], ["mine", { about: ABOUT, steps: [{ op: "stop", label: "s" }] }]);
});

Deno.test("parseScenario() refuses what no scenario is", () => {
  refused(
    { about: "short", steps: [STOP] },
    "$.about: expected a sentence that says what the scenario shows",
  );
  refused({ steps: [STOP], step: [] }, `$.step: expected one of the keys $schema, about, needs, `);
  refused({}, `$: expected "steps", a "program" or a "race"`);
  refused({ steps: [STOP], program: { argv: ["/bin/sh"] } }, `$: expected "steps", a "program" or a "race"`);
  const race = { meanwhile: "continued", times: 5, expect: ["ok"] };
  refused({ steps: [STOP], race }, `$: expected "steps", a "program" or a "race"`);
  refused(
    { race: { ...race, meanwhile: "sung to" } },
    "$.race.meanwhile: expected one of stopped, continued",
  );
  refused({ race: { ...race, expect: [] } }, "$.race.expect: expected a list of at least 1");
  refused({ steps: [] }, "$.steps: expected a list of at least 1");
  refused({ steps: [{ op: "exec" }] }, `$.steps: expected a list with a "stop" step`);
  refused({ steps: [STOP, STOP] }, "$.steps: expected stops whose labels differ");
  refused({ steps: [STOP], judge: "criu" }, `$.judge: expected "gcore", found "criu"`);
});

Deno.test("parseScenario() knows the kernels, targets and series that a scenario may need", () => {
  const needs = (value: unknown, message: string) =>
    refused({ needs: value, steps: [STOP] }, `$.needs${message}`);
  needs({ kernel: ["x86-64"] }, `.kernel[0]: expected one of x86_64, i386, i386-pae, found "x86-64"`);
  needs({ target: ["arm"] }, `.target[0]: expected one of x86_64, i386, found "arm"`);
  needs({ series: ["6.2"] }, ".series[0]: expected one of 2.6.28, 5.10");
  needs({ config: ["KSM"] }, ".config[0]: expected a kernel option such as");
  needs({ kernel: "i386" }, ".kernel: expected a list of at least 1");
  needs({ arch: ["i386"] }, ".arch: expected one of the keys kernel, target, config, series");
  const good = { kernel: ["i386-pae"], target: ["i386"], config: ["CONFIG_X86_16BIT"], series: ["6.12"] };
  assertEquals<unknown>(parseScenario({ about: ABOUT, needs: good, steps: [STOP] }, "x").needs, good);
});

Deno.test("parseScenario() refuses set-up steps that are none", () => {
  const setup = (value: unknown, message: string) => refused({ setup: [value], steps: [STOP] }, message);
  setup({ swap: "disk" }, "$.setup[0]: expected ");
  setup({ write: "/etc/passwd", value: "x" }, "$.setup[0].write: expected a file of /sys or /proc");
  setup({ write: "/sys/../etc/x", value: "x" }, "$.setup[0].write: expected a file of /sys or /proc without");
  setup({ uid: -1, gid: 0 }, "$.setup[0].uid: expected a whole number from 0");
  setup({ uid: 1000 }, "$.setup[0]: expected ");
});

Deno.test("parseScenario() takes plain names alone", () => {
  for (const label of ["a/../../b", "..", "", " a", "a\n", "x".repeat(101), 7]) {
    refused({ steps: [{ op: "stop", label }] }, "$.steps[0].label: expected a plain name");
    refusedStep({ op: "shm", area: label, pages: 1 }, "area: expected a plain name");
  }
  for (const file of ["a/../../b", "..", ".", "", "a/b", "%2f", "%00", "a\0"]) {
    refusedStep({ op: "file", file, pages: 1 }, "file: expected a plain file name");
    refusedStep({ op: "chdir", directory: file }, "directory: expected a plain file name");
  }
  refusedStep(
    { op: "file", file: "é".repeat(128), pages: 1 },
    "file: expected a file name of at most 255 bytes",
  );
  refusedStep({ op: "mmap", area: "a", pages: 1, file: "/dev/full" }, "file: expected a plain file name");
});

Deno.test("parseScenario() refuses unknown words and keys of steps", () => {
  const pages = { area: "a", pages: "all" };
  refusedStep({ op: "mmapp" }, `op: expected one of mmap, munmap, `);
  refusedStep(
    { op: "read", ...pages, seed: 1 },
    `seed: expected one of the keys op, area, pages, found "seed"`,
  );
  refusedStep({ op: "read", area: "a" }, "pages: expected a page set such as");
  refusedStep({ op: "mmap", area: "a", pages: 1, prot: "rww" }, "prot: expected one of none, r, w, ");
  refusedStep({ op: "mprotect", ...pages, prot: "q" }, "prot: expected one of none, r, w, ");
  refusedStep({ op: "mmap", area: "a", pages: 1, flags: ["sharde"] }, "flags[0]: expected one of shared, ");
  refusedStep({ op: "mmap", area: "a", pages: 1, flags: ["fixed"] }, "flags[0]: expected one of shared, ");
  refusedStep({ op: "mmap", area: "a", pages: 1, flags: ["low", "low"] }, "flags: expected each word once");
  refusedStep({ op: "madvise", ...pages, advice: "free!" }, "advice: expected one of normal, ");
  refusedStep(
    { op: "madvise", ...pages, advice: "free", expect: "EFOO" },
    `expect: expected "ok", the name of`,
  );
  refusedStep({ op: "mlock", ...pages, flags: ["on"] }, `flags[0]: expected "onfault", found "on"`);
  refusedStep({ op: "mlockall", flags: ["past"] }, "flags[0]: expected one of current, future, onfault");
  refusedStep({ op: "mremap", ...pages, flags: ["fixed"] }, `flags[0]: expected "dontunmap", found "fixed"`);
  refusedStep({ op: "syscall", name: "reboot" }, "name: expected one of read, write, ");
  refusedStep({ op: "syscall", name: "read", expect: "EFOO" }, "expect: expected ");
  refusedStep({ op: "modify_ldt", entries: 0, flags: ["16bit"] }, "flags[0]: expected one of 32bit, ");
  refusedStep({ op: "modify_ldt", entries: 0, contents: "stack" }, "contents: expected one of data, ");
  refusedStep(
    { op: "load_segment", register: "cs", selector: 0 },
    "register: expected one of es, ss, ds, fs, gs",
  );
  refusedStep({ op: "registers", values: { r8: "x" } }, `values.r8: expected a number such as`);
  refusedStep({ op: "in_child", steps: [{ op: "exit" }] }, "steps[0].op: expected one of mmap, ");
});

Deno.test("parseScenario() refuses numbers that are out of range or not whole", () => {
  for (const seed of [-1, 0.5, 2 ** 32, 1e300, "1"]) {
    refusedStep(
      { op: "write", area: "a", pages: 0, seed },
      "seed: expected a whole number from 0 to 4294967295",
    );
  }
  for (const pages of [-1, 0.5, 2 ** 53, "1..x", "-1", "", "1,", true]) {
    refusedStep({ op: "read", area: "a", pages }, "pages: expected ");
  }
  for (const pages of [-1, 0.5, "all", "1..2", "chunk*2", null]) {
    refusedStep({ op: "shm", area: "a", pages }, "pages: expected ");
  }
  const poke = { op: "poke", area: "a", page: 0, value: 1 };
  refusedStep({ ...poke, value: 2 ** 53 }, "value: expected a whole number from -9007199254740991");
  refusedStep({ ...poke, size: 3 }, "size: expected one of 1, 2, 4, 8, found 3");
  refusedStep({ ...poke, offset: 4096 }, "offset: expected a whole number from 0 to 4095");
  refusedStep(
    { op: "chdir", directory: "d", times: -5 },
    "times: expected a whole number from 1 to 100, found -5",
  );
  refusedStep({ op: "dumpable", value: 2 }, "value: expected one of 0, 1, found 2");
  refusedStep({ op: "become", uid: 2 ** 32 - 1 }, "uid: expected a whole number from 0 to 4294967294");
  refusedStep({ op: "set_thread_area", entry: -3 }, "entry: expected a whole number from -2");
  refusedStep({ op: "read_ldt", bytes: 65537 }, "bytes: expected a whole number from 0 to 65536");
  refusedStep({ op: "selector", selector: 0x10000 }, "selector: expected a selector: 16 bits");
  refusedStep({ op: "modify_ldt", entries: 0, base: "0x100000000" }, "base: expected 32 bits such as");
});

Deno.test("parseScenario() refuses words of a stop that are none", () => {
  const stop = (words: Record<string, unknown>, message: string) =>
    refused({ steps: [{ ...STOP, ...words }] }, `$.steps[0].${message}`);
  stop({ expect: "EFOO" }, `expect: expected "ok", the name of an errno, or one of SIGKILL`);
  stop({ merged: "pagess" }, `merged: expected one of pages, zeros too, found "pagess"`);
  stop({ waitFor: [{ fil: "/proc/meminfo" }] }, "waitFor[0].file: expected an absolute path");
  stop(
    { waitFor: [{ file: "/proc/meminfo", fil: "x" }] },
    `waitFor[0].fil: expected one of the keys file, matching, notMatching`,
  );
  stop({ waitFor: [{ file: "/proc/meminfo" }] }, `waitFor[0]: expected "matching", "notMatching" or both`);
  stop(
    { waitFor: [{ file: "/proc/meminfo", matching: "(" }] },
    "waitFor[0].matching: expected a regular expression",
  );
});

Deno.test("parseScenario() takes a program with all that it may have", () => {
  const program = {
    argv: ["/bin/sh", "-i"],
    package: "dash",
    files: ["/usr/lib/x.*/a"],
    env: { LANG: "C" },
    refused: "EOPNOTSUPP",
  };
  assertEquals(parseScenario({ about: ABOUT, judge: "gcore", program }, "x").program, program);
});

Deno.test("parseScenario() names what is wrong about a program", () => {
  const cases: [unknown, string][] = [
    [["/bin/sh"], ": expected an object"],
    [{ argv: ["/bin/sh"], stdin: "x" }, ".stdin: expected one of the keys argv, "],
    [{ argv: [] }, ".argv: expected a list of at least 1"],
    [{ argv: ["sh"] }, ".argv: expected a list of words, the first of them an absolute path"],
    [{ argv: ["/bin/sh", 1] }, ".argv[1]: expected a word"],
    [{ argv: ["/bin/sh"], package: 1 }, ".package: expected the name of a Debian package"],
    [{ argv: ["/bin/sh"], files: ["lib"] }, ".files[0]: expected an absolute path"],
    [{ argv: ["/bin/sh"], env: { A: 1 } }, ".env.A: expected a string"],
    [{ argv: ["/bin/sh"], refused: "-95" }, ".refused: expected the name of an errno"],
  ];
  for (const [program, message] of cases) refused({ program }, `$.program${message}`);
});
