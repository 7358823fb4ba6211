// SPDX-License-Identifier: MIT
import { assert, assertEquals, assertThrows } from "@std/assert";
import { firstDifference } from "../bytes.ts";
import { unpackRecordedCase } from "../compare/testing/recorded_case.ts";
import { keysOf } from "../schema.ts";
import { changedImage, IMAGE_CHANGES, imageChange } from "./image_changes.ts";
import { ImageEditor } from "./image_editor.ts";
import { STAGES } from "./restart.ts";

const FILE = new URL("../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const { image } = await unpackRecordedCase(await Deno.readFile(FILE));

Deno.test("each change makes another image, and its name begins with the record in which the kernel finds it", () => {
  for (const name of keysOf(IMAGE_CHANGES)) {
    if (imageChange(name).needs === "tls") continue; // the recorded target has no such segment
    assert(firstDifference(changedImage(image, name), image) >= 0, name);
    assert(name.split(/[. ]/)[0]! in STAGES, name);
  }
});

Deno.test("a change leaves the image that it is given as it is", () => {
  const before = image.slice();
  changedImage(image, "TAIL behind the longest record");
  assertEquals(firstDifference(image, before), -1);
});

Deno.test("ImageEditor changes fields by their names, headers too, and says what an image has not", () => {
  const editor = new ImageEditor(image);
  editor.set("TAIL", "parent", 7n);
  editor.flip("TAIL", "magic", 3n);
  assertEquals([editor.get("TAIL", "parent"), editor.get("TAIL", "magic") & 3n], [7n, 3n]);
  assertThrows(() => editor.get("TREE", "tasks_nr"), RangeError, "the image has no such TREE record");
  assertThrows(() => editor.get("TAIL", "size"), RangeError, "TAIL has no field size");
});
