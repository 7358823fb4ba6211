// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { UsageError } from "../host/errors.ts";
import { beginRecording, readRecording, type Recording } from "./recording.ts";

Deno.test("a recording says on what machine it was made, and what of that is gone", async () => {
  const place = await Deno.makeTempDir();
  const [kernel, initrd] = [`${place}/kernel`, `${place}/initrd`];
  for (const path of [kernel, initrd]) await Deno.writeTextFile(path, "");
  const machine: Recording = {
    ...{ kernel, initrd, cpu: "max", memoryMiB: 256, append: ["a", "b=c"], vmlinux: kernel },
    program: "qemu-system-i386",
    target: "i386",
  };
  const { directory } = await beginRecording(`${place}/all`, machine);
  assertEquals(directory, `${place}/all/1`);
  const gone = () => assertRejects(() => readRecording(directory), UsageError, "is no longer there");
  await gone();
  await Deno.writeTextFile(`${directory}/recording.bin`, "");
  assertEquals(await readRecording(directory), machine);
  assertEquals((await beginRecording(`${place}/all`, machine)).directory, `${place}/all/2`);
  await Deno.remove(initrd);
  await gone();
  await assertRejects(() => readRecording(place), UsageError, "expected a recording.json in it");
  // Whoever sends somebody a recording does not choose what is run.
  const file = `${directory}/recording.json`;
  await Deno.writeTextFile(file, (await Deno.readTextFile(file)).replace("qemu-system-i386", "/bin/sh"));
  await assertRejects(() => readRecording(directory), UsageError, "recording.json: $.program: expected");
  await Deno.remove(place, { recursive: true });
});
