// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { writeCpio } from "../../initramfs/initramfs.ts";
import { runCommand } from "../../host/run_command.ts";

/**
 * A first process for tests of the VM side: it says `hello` on the control port and then obeys one-letter
 * commands: `e` sends back 1 MiB that it reads from the data port, `x` ends itself (the kernel panics), `h`
 * hangs, `r` reboots, `c` writes 100,000 bytes with NULs to the console.
 */
const INIT_C = `
static long call(long nr, long a, long b, long c, long d, long e)
{
	register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
	long ret;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return ret;
}
static char buffer[1 << 20];
static void transfer(long nr, long fd, long length)
{
	for (long done = 0; done < length; ) {
		long part = call(nr, fd, (long)buffer + done, length - done, 0, 0);
		if (part > 0)
			done += part;
	}
}
void _start(void)
{
	call(165, (long)"none", (long)"/dev", (long)"devtmpfs", 0, 0);
	long control = call(2, (long)"/dev/vport0p1", 2, 0, 0, 0);
	long data = call(2, (long)"/dev/vport0p2", 2, 0, 0, 0);
	long console = call(2, (long)"/dev/console", 2, 0, 0, 0);
	char command = 0;
	call(1, control, (long)"hello\\n", 6, 0, 0);
	for (;;) {
		if (call(0, control, (long)&command, 1, 0, 0) != 1)
			continue;
		if (command == 'e') {
			transfer(0, data, sizeof(buffer));
			transfer(1, data, sizeof(buffer));
		} else if (command == 'c') {
			for (long i = 0; i < 100000; i++)
				buffer[i] = i % 100 == 99 ? 10 : i % 2 ? 'a' : 0;
			transfer(1, console, 100000);
			call(1, control, (long)"done\\n", 5, 0, 0);
		} else if (command == 'x') {
			call(60, 7, 0, 0, 0, 0);
		} else if (command == 'r') {
			call(169, 0xfee1dead, 672274793, 0x1234567, 0, 0);
		} else if (command == 'h') {
			for (;;)
				;
		}
	}
}
`;

/** Compiles the test's first process and packs it. @returns the path of an initramfs below `directory`. */
export async function makeTestInitramfs(directory: string): Promise<string> {
  const [source, program] = [join(directory, "init.c"), join(directory, "init")];
  await Deno.writeTextFile(source, INIT_C);
  const { code, lines } = await runCommand([
    "gcc",
    ...["-O1", "-static", "-nostdlib", "-fno-stack-protector", "-fno-pie", "-no-pie", "-o", program, source],
  ]);
  if (code !== 0) throw new Error(`the test's init does not compile:\n${lines.join("\n")}`);
  const path = join(directory, "initramfs");
  await Deno.writeFile(
    path,
    writeCpio([{ path: "dev" }, { path: "init", data: await Deno.readFile(program) }]),
  );
  return path;
}

/** An initramfs without a first process: the kernel panics. */
export async function makeEmptyInitramfs(directory: string): Promise<string> {
  const path = join(directory, "empty");
  await Deno.writeFile(path, writeCpio([{ path: "dev" }]));
  return path;
}
