// SPDX-License-Identifier: MIT
import { assertEquals, assertRejects } from "@std/assert";
import { BuildError } from "../build/build_error.ts";
import { editFiles, patchedFiles, readOverlay } from "./kernel_overlay.ts";

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
