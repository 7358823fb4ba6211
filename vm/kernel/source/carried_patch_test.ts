// SPDX-License-Identifier: MIT
import { assert, assertEquals } from "@std/assert";
import { dirname, join } from "@std/path";
import { PORTED_SERIES } from "../../../lib/abi/series.ts";
import { carriedPatch, findPatch } from "./carried_patch.ts";
import { OWN_OVERLAY } from "../build/build_kernel.ts";
import { readOverlay } from "./kernel_overlay.ts";

const HOOKS = `--- a/Kbuild
+++ b/Kbuild
@@ -1 +1,3 @@
 obj-y += ipc/
+# checkpoint of a task
+obj-$(CONFIG_CR_CHECKPOINT) += checkpoint/
--- a/MAINTAINERS
+++ b/MAINTAINERS
@@ -1 +1,2 @@
 x
+F:	checkpoint/
--- a/syscall.tbl
+++ b/syscall.tbl
@@ -1 +1,2 @@
 1	common	write	sys_write
+390	common	checkpoint	sys_checkpoint
`;
const PARTS = { files: ["checkpoint/sys.c", "include/checkpoint.h"], hooks: HOOKS };
const WHOLE = {
  "checkpoint/sys.c": "",
  "include/checkpoint.h": "",
  "Kbuild": "obj-y += ipc/\nobj-$(CONFIG_CR_CHECKPOINT)\t\t+= checkpoint/\n",
  "syscall.tbl": "467 common  checkpoint  sys_checkpoint\n",
};

function find(files: Record<string, string>) {
  return findPatch(PARTS, (file) => Promise.resolve(files[file]));
}

Deno.test("findPatch() finds a patch with other spaces, another number and no MAINTAINERS", async () => {
  const { state, missing } = await find(WHOLE);
  assertEquals([state, missing], ["carried", []]);
});

Deno.test("findPatch() finds none in a tree that has other checkpoints", async () => {
  const { state, present } = await find({
    Kbuild: "obj-y += ipc/\n# obj-$(CONFIG_CR_CHECKPOINT) += checkpoint/\n",
    "syscall.tbl": "1 common write sys_write\n",
    "fs/checkpoint.c": "",
  });
  assertEquals([state, present], ["absent", []]);
});

Deno.test("findPatch() names what is there of half a patch, and what is missing", async () => {
  const { "Kbuild": _, ...files } = { ...WHOLE, "syscall.tbl": "1 common write sys_write\n" };
  assertEquals(await find(files), {
    state: "partial",
    present: PARTS.files,
    missing: [
      "Kbuild: obj-$(CONFIG_CR_CHECKPOINT) += checkpoint/",
      "syscall.tbl: NR common checkpoint sys_checkpoint",
    ],
  });
});

Deno.test("carriedPatch() knows the project's own patch of each series, and each hook of it", async () => {
  const overlay = await readOverlay(OWN_OVERLAY);
  for (const series of PORTED_SERIES) {
    const hooks = await Deno.readTextFile(join(dirname(OWN_OVERLAY), "hooks", `${series}.patch`));
    const directory = await Deno.makeTempDir();
    try {
      const parts = { files: overlay.keys(), hooks };
      assertEquals((await carriedPatch(directory, parts)).state, "absent");
      const added = new Map<string, string>();
      let file = "";
      for (const line of hooks.split("\n")) {
        if (line.startsWith("+++ b/")) file = line.slice(6);
        else if (line.startsWith("+")) added.set(file, `${added.get(file) ?? ""}${line.slice(1)}\n`);
      }
      for (const [path, text] of [...added, ...[...overlay.keys()].map((path) => [path, "x"] as const)]) {
        await Deno.mkdir(dirname(join(directory, path)), { recursive: true });
        await Deno.writeTextFile(join(directory, path), text);
      }
      const whole = await carriedPatch(directory, { files: overlay.keys(), hooks });
      assertEquals([whole.state, whole.missing], ["carried", []]);
      for (const path of added.keys()) {
        await Deno.writeTextFile(join(directory, path), "");
        const { state, missing } = await carriedPatch(directory, { files: overlay.keys(), hooks });
        // Fixes of others' errors may be there, or not be needed.
        const isNeeded = path !== "MAINTAINERS" && path !== "mm/mmap.c";
        assertEquals(state, isNeeded ? "partial" : "carried", path);
        assert(missing.every((name) => name.startsWith(path)), missing.join("\n"));
        await Deno.writeTextFile(join(directory, path), added.get(path)!);
      }
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  }
});
