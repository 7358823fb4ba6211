// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects } from "@std/assert";
import { BuildError } from "../build/build_error.ts";
import { editFiles, overlayNamer, patchedFiles, readOverlay } from "./kernel_overlay.ts";

Deno.test("patchedFiles() names changed, new and removed files once", () => {
  const patch = [
    "text before, as git am takes it",
    "--- a/kernel/a.c\t2020-01-01",
    "+++ b/kernel/a.c\t2020-01-02",
    "@@ -1 +1 @@",
    "--- removed line that looks like a header",
    "--- /dev/null",
    "+++ b/new.c",
    "--- a/old.c",
    "+++ /dev/null",
    "--- a/kernel/a.c",
    "+++ b/kernel/a.c",
  ].join("\n");
  assertEquals(patchedFiles(patch), ["kernel/a.c", "new.c", "old.c"]);
});

Deno.test("overlayNamer() calls copies of the overlay by their place in the checkout, and nothing else", () => {
  const name = overlayNamer(["checkpoint/sys.c", "include/linux/checkpoint.h"]);
  for (
    const [line, named] of [
      [
        "/var/cache/ckptest/trees/debian-6.1/checkpoint/sys.c:3:5: error: x",
        "vm/kernel/overlay/checkpoint/sys.c:3:5: error: x",
      ],
      [
        "WARNING: CPU: 0 PID: 1 at checkpoint/sys.c:7 f+0x1/0x2",
        "WARNING: CPU: 0 PID: 1 at vm/kernel/overlay/checkpoint/sys.c:7 f+0x1/0x2",
      ],
      [
        "In file included from ./include/linux/checkpoint.h:1,",
        "In file included from vm/kernel/overlay/include/linux/checkpoint.h:1,",
      ],
      [
        "f at checkpoint/sys.c:1, inlined by g at fs/exec.c:2",
        "f at vm/kernel/overlay/checkpoint/sys.c:1, inlined by g at fs/exec.c:2",
      ],
      ["  CC      checkpoint/sys.o", "  CC      checkpoint/sys.o"],
      ["fs/other_checkpoint/sys.cc:1", "fs/other_checkpoint/sys.cc:1"],
      ["kernel/sys.c:1: error", "kernel/sys.c:1: error"],
    ] as const
  ) assertEquals(name(line), named);
  assertEquals(overlayNamer([])("a.c:1"), "a.c:1");
});

Deno.test("editFiles() carries edits out in order, the second one on the result of the first", async () => {
  const read = () => Promise.resolve(new TextEncoder().encode("one two"));
  const edited = await editFiles([
    { file: "f", find: "one", replace: "three" },
    { file: "f", find: "three two", replace: "four" },
  ], read);
  assertEquals([...edited].map(([file, bytes]) => [file, new TextDecoder().decode(bytes)]), [["f", "four"]]);
});

Deno.test("editFiles() does not take `$&` in a replacement for a pattern", async () => {
  const read = () => Promise.resolve(new TextEncoder().encode("x"));
  const edited = await editFiles([{ file: "f", find: "x", replace: "$&$1" }], read);
  assertEquals(new TextDecoder().decode(edited.get("f")), "$&$1");
});

Deno.test("readOverlay() takes files in order of their paths, leaves editors' files out, refuses links", async () => {
  const dir = await Deno.makeTempDir();
  try {
    await Deno.mkdir(`${dir}/b/c`, { recursive: true });
    for (const path of ["z.c", "b/c/d.c", "b/a.h", "b/.a.h.swp", "z.c~"]) {
      await Deno.writeTextFile(`${dir}/${path}`, path);
    }
    assertEquals([...(await readOverlay(dir)).keys()], ["b/a.h", "b/c/d.c", "z.c"]);
    await Deno.symlink("z.c", `${dir}/link.c`);
    await assertRejects(() => readOverlay(dir), BuildError, "link.c is neither file nor directory");
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
