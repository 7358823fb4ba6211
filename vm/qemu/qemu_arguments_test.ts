// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  HOST_TAG,
  qemuArguments,
  type QemuOptions,
  SHARE_TAG,
  standaloneArguments,
} from "./qemu_arguments.ts";

const OPTIONS: QemuOptions = {
  accelerator: "tcg",
  kernel: "/k/vmlinux",
  initrd: "/k/initrd",
  sockets: { control: "/s/control", data: "/s/data", console: "/s/console", monitor: "/s/monitor" },
};

/** The value after an option; the option must occur once. */
function valueOf(args: string[], option: string): string {
  const at = args.flatMap((arg, index) => arg === option ? [index] : []);
  assertEquals(at.length, 1, `${option} in ${args.join(" ")}`);
  return args[at[0]! + 1]!;
}

Deno.test("qemuArguments() gives a bare machine with kernel, initrd and our parameters first", () => {
  const args = qemuArguments({ ...OPTIONS, append: ["extra=1"] });
  assertEquals(valueOf(args, "-machine"), "microvm,acpi=off");
  assertEquals(valueOf(args, "-accel"), "tcg");
  assertEquals(valueOf(args, "-m"), "256M");
  assertEquals(valueOf(args, "-kernel"), "/k/vmlinux");
  assertEquals(valueOf(args, "-initrd"), "/k/initrd");
  const append = valueOf(args, "-append").split(" ");
  assert(append.includes("panic=-1") && append.includes("reboot=t"), append.join(" "));
  assertEquals(append.at(-1), "extra=1");
});

Deno.test("qemuArguments() has no network, no host files, no shell-outs, and the sandbox on", () => {
  const args = qemuArguments(OPTIONS);
  for (const required of ["-nodefaults", "-no-user-config", "-no-reboot"]) {
    assert(args.includes(required), required);
  }
  assert(valueOf(args, "-sandbox").startsWith("on,"));
  const line = args.join(" ");
  for (const forbidden of ["-net", "-virtfs", "-fsdev", "-daemonize", "exec:"]) {
    assert(!line.includes(forbidden), forbidden);
  }
});

Deno.test("qemuArguments() shows the host's files only when asked, and read-only", () => {
  const isOfHost = (arg: string): boolean => arg.includes("path=/,") || arg.includes(HOST_TAG);
  assertEquals(qemuArguments(OPTIONS).filter(isOfHost), []);
  const [files, device] = qemuArguments({ ...OPTIONS, hostFiles: true }).filter(isOfHost);
  assert(files?.split(",").includes("readonly=on"), files);
  assertEquals(device, `virtio-9p-device,fsdev=host,mount_tag=${HOST_TAG}`);
});

Deno.test("qemuArguments() shares a directory only when asked, and lets the guest make nothing special in it", () => {
  const args = qemuArguments({ ...OPTIONS, share: "/a,b" });
  const settings = valueOf(args, "-fsdev").split(/(?<!,),(?!,)/);
  assertEquals(settings.slice(0, 4), ["local", "id=share", "path=/a,,b", "security_model=mapped-file"]);
  assert(args.includes(`virtio-9p-device,fsdev=share,mount_tag=${SHARE_TAG}`));
});

Deno.test("qemuArguments() connects out to every socket, with commas in paths doubled", () => {
  const args = qemuArguments({ ...OPTIONS, sockets: { ...OPTIONS.sockets, console: "/a,b/console" } });
  const chardevs = args.filter((arg) => arg.startsWith("socket,"));
  assertEquals(chardevs, [
    "socket,id=control,path=/s/control,server=off",
    "socket,id=data,path=/s/data,server=off",
    "socket,id=console,path=/a,,b/console,server=off,mux=on",
    "socket,id=monitor,path=/s/monitor,server=off",
  ]);
});

Deno.test("standaloneArguments() have the console on the terminal, and need nothing of a harness", () => {
  const { sockets } = OPTIONS;
  for (const channel of ["virtio", "serial"] as const) {
    const args = standaloneArguments(
      qemuArguments({ ...OPTIONS, sockets, channel, share: "/share", gdbSocket: "/s/g" }),
    );
    const serial = args.flatMap((arg, index) => arg === "-serial" ? [args[index + 1]] : []);
    assertEquals(serial[0], "mon:stdio");
    assertEquals(args.filter((arg) => arg.includes("/s/") || arg.includes("share") || arg === "-fsdev"), []);
    // What is named is there.
    const ids = args.flatMap((arg) => /^null,id=(.+)/.exec(arg)?.[1] ?? []);
    for (const arg of args) {
      const id = /chardev[:=](\w+)/.exec(arg)?.[1];
      if (id !== undefined) assert(ids.includes(id), `${id} of ${arg}`);
    }
  }
});

Deno.test("qemuArguments() keeps the memory in a file, goes on from another guest, and tells nobody else", () => {
  const plain = qemuArguments(OPTIONS);
  for (const isShared of [true, false]) {
    const args = qemuArguments({ ...OPTIONS, memoryFile: { path: "/s/a,b", isShared }, incoming: "/s/in" });
    assertEquals(valueOf(args, "-machine"), "microvm,acpi=off,memory-backend=memory");
    const share = isShared ? "on" : "off";
    assertEquals(
      valueOf(args, "-object"),
      `memory-backend-file,id=memory,size=256M,mem-path=/s/a,,b,share=${share}`,
    );
    assertEquals(valueOf(args, "-incoming"), "unix:/s/in");
    assertEquals(standaloneArguments(args), standaloneArguments(plain));
  }
});

Deno.test("qemuArguments() refuses what cannot be", () => {
  assertThrows(() => qemuArguments({ ...OPTIONS, memoryMiB: 0 }), RangeError, "memoryMiB");
  assertThrows(() => qemuArguments({ ...OPTIONS, cpus: 1.5 }), RangeError, "cpus");
});

Deno.test("qemuArguments() has a second serial port in place of virtio ports when it is asked to", () => {
  const args = qemuArguments({ ...OPTIONS, channel: "serial", append: ["extra=1"] });
  assertEquals(valueOf(args, "-machine"), "pc");
  // The console is the first port, the agent's line the second.
  const ports = args.flatMap((arg, index) => arg === "-serial" ? [args[index + 1]] : []);
  assertEquals(ports, ["chardev:console", "chardev:control"]);
  assert(!args.some((arg) => arg.includes("virtserialport")), args.join(" "));
  assert(valueOf(args, "-append").includes(" CKPTEST_CHANNEL=serial extra=1"), valueOf(args, "-append"));
  assert(!qemuArguments(OPTIONS).some((arg) => arg.includes("CKPTEST_CHANNEL")));
});

Deno.test("qemuArguments() has time go by instructions and chance by a seed, and the agent told", () => {
  const args = qemuArguments({ ...OPTIONS, isDeterministic: true, gdbSocket: "/s/g" });
  assertEquals(valueOf(args, "-icount"), "shift=1,sleep=off");
  assertEquals(valueOf(args, "-rtc"), "base=2026-01-01,clock=vm");
  assertEquals(valueOf(args, "-seed"), "1");
  assert(
    args.includes("-S") && valueOf(args, "-append").includes(" CKPTEST_CHANNEL=lockstep"),
    args.join(" "),
  );
  // Nobody would let it go on.
  assert(!standaloneArguments(args).includes("-S"));
});

Deno.test("qemuArguments() has all that comes in recorded, or played again, and waits for gdb alone", () => {
  const args = (mode: "record" | "replay", more: Partial<QemuOptions> = {}) =>
    qemuArguments({ ...OPTIONS, ...more, replay: { mode, directory: "/r,s" } });
  const recorded = args("record", { gdbSocket: "/s/g" });
  assertEquals(valueOf(recorded, "-icount"), "shift=auto,rr=record,rrfile=/r,,s/recording.bin");
  // QEMU counts them, and records none that -chardev names.
  const ports = recorded.flatMap((arg, index) => arg === "-serial" ? [recorded[index + 1]] : []);
  assertEquals(ports, ["unix:/s/console", "unix:/s/control", "unix:/s/data"]);
  const line = recorded.join(" ");
  assert(
    line.includes("chardev=serial1,name=ckptest.control") &&
      line.includes("chardev=serial2,name=ckptest.data"),
  );
  assertEquals(
    [recorded, args("replay"), args("replay", { gdbSocket: "/s/g" })].map((one) => one.includes("-S")),
    [
      false,
      false,
      true,
    ],
  );
  const alone = standaloneArguments(recorded);
  assertEquals(alone.flatMap((arg, index) => arg === "-serial" ? [alone[index + 1]] : []), [
    "mon:stdio",
    "null",
    "null",
  ]);
  assert(!alone.includes("-icount") && !alone.join().includes("/s/"), alone.join(" "));
});
