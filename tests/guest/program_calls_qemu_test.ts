// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { join } from "@std/path";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { installFiles } from "../../harness/run/guest/scenario_files.ts";
import { PLATFORMS } from "../../harness/run/platform.ts";
import { runProgram } from "../../harness/run/case/run_program.ts";
import { guestKernel } from "../../harness/run/case/scenario_runner.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { findingText } from "../../lib/image/finding.ts";
import { runCommand } from "../../vm/host/run_command.ts";

/** Programs whose break or LDT /proc does not tell, by what they do before they wait. */
const PROGRAMS: Readonly<Record<string, string>> = {
  "Über\u0161": "",
  three_ldt_entries: `
	for (unsigned int i = 0; i < 3; i++) {
		unsigned int entry[4] = { 2 * i + 1, 0x10000 * i + 7, 0x100 + i, 0x51 };
		call(MODIFY_LDT, 0x11, (long)entry, sizeof(entry));
	}`,
  full_ldt: `
	for (unsigned int i = 0; i < 8192; i += 8191) {
		unsigned int entry[4] = { i, 0, 0xfffff, 0x51 };
		call(MODIFY_LDT, 0x11, (long)entry, sizeof(entry));
	}`,
  cleared_ldt: `
	unsigned int entry[4] = { 4, 0, 0xfffff, 0x51 };
	call(MODIFY_LDT, 0x11, (long)entry, sizeof(entry));
	unsigned int none[4] = { 4, 0, 0, 0x28 };
	call(MODIFY_LDT, 0x11, (long)none, sizeof(none));`,
  guard_behind_heap: `
	long end = call(BRK, grow(0x3008), 0, 0);
	map((end + 4095) & -4096, 0x1000, 0);`,
  mapping_joins_heap: `
	long end = call(BRK, grow(0x3000), 0, 0);
	map(end, 0x4000, 3);
	*(char *)(end + 0x1000) = 5;`,
  break_set_by_prctl: `
	call(PRCTL, 35 /* PR_SET_MM */, 7 /* PR_SET_MM_BRK */, call(BRK, grow(0x2000), 0, 0) - 0x123);`,
  unaligned_break: `
	call(BRK, grow(0x1801), 0, 0);`,
};

function sourceOf(body: string): string {
  return `
#ifdef __x86_64__
enum { BRK = 12, MMAP = 9, MODIFY_LDT = 154, PRCTL = 157, PAUSE = 34 };
static long call(long nr, long a, long b, long c)
{
	long ret;
	register long r10 __asm__("r10") = 0x32, r8 __asm__("r8") = -1, r9 __asm__("r9") = 0;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
static inline void map(long at, long length, long protection) { call(MMAP, at, length, protection); }
#else
enum { BRK = 45, OLD_MMAP = 90, MODIFY_LDT = 123, PRCTL = 172, PAUSE = 29 };
static long call(long nr, long a, long b, long c)
{
	long ret;
	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return ret;
}
static inline void map(long at, long length, long protection)
{
	long arguments[6] = { at, length, protection, 0x32, -1, 0 };
	call(OLD_MMAP, (long)arguments, 0, 0);
}
#endif
static inline long grow(long bytes) { return call(BRK, 0, 0, 0) + bytes; }
static char data[9000] = "data";
void _start(void)
{
	data[5000] = 1;${body}
	for (;;)
		call(PAUSE, 0, 0, 0);
}
`;
}

for (const platform of PLATFORMS) {
  Deno.test(`break and LDT of programs are those of the image, ${platform.name}`, async () => {
    const directory = await Deno.makeTempDir();
    try {
      const files = await Promise.all(
        Object.entries(PROGRAMS).map(async ([name, body]) => {
          const source = join(directory, name);
          await Deno.writeTextFile(`${source}.c`, sourceOf(body));
          const bits = platform.target === "i386" ? "-m32" : "-m64";
          const options = [
            bits,
            "-O1",
            "-static",
            "-nostdlib",
            "-fno-stack-protector",
            "-fno-pie",
            "-no-pie",
          ];
          const { code, lines } = await runCommand(["gcc", ...options, "-w", "-o", source, `${source}.c`]);
          assertEquals([code, ...lines], [0]);
          return { path: `/bin/${name}`, source };
        }),
      );
      const prepared = await prepareGuest(platform, { terminal: new Terminal() });
      await using guest = await prepared.startGuest();
      await installFiles(guest.agent, files);
      const kernel = await guestKernel(guest, prepared);
      const found: Record<string, readonly string[]> = {};
      for (const { path } of files) {
        const { stops: [stop] } = await runProgram(guest, { argv: [path] }, { kernel });
        const isTold = ![...stop!.volatile.keys()].some((name) => name.includes("brk"));
        found[path] = [...stop!.findings.map(findingText), ...isTold ? [] : ["the break is volatile"]];
      }
      assertEquals(found, Object.fromEntries(files.map(({ path }) => [path, []])));
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}
