// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { buildImage } from "../image/build_image.ts";
import { decodeBytes } from "../image/decoder.ts";
import { isRecord } from "../image/nodes.ts";
import { fieldOf, type RecordName } from "../image/records.ts";
import { RECORD_HEADER } from "../image/structs.ts";
import { syntheticImage } from "../image/testing/synthetic_image.ts";
import { restartedImageFindings } from "./restarted_image.ts";

const ORIGINAL = syntheticImage();
const NODES = [...decodeBytes(ORIGINAL)];
const RESTARTED = { pid: 77, state: 0x104, exitSignal: 17 };
const OF_PROCESS: RecordName[] = ["MM", "THREAD", "CPU", "X86_FSGSBASE", "AUXV", "SIGNALS", "SIGACTION"];

function place(name: RecordName, field: string): number {
  const node = NODES.find((one) => isRecord(one, name))!;
  return node.offset + RECORD_HEADER.size + fieldOf(name, field)!.offset;
}

/** The image of a process as restart(2) makes it. */
function restartedImage(): Uint8Array {
  const image = ORIGINAL.slice();
  const view = new DataView(image.buffer);
  view.setUint32(place("HEAD", "time"), 1, true);
  view.setUint32(place("TASK", "state"), RESTARTED.state, true);
  view.setUint32(place("TASK", "exit_code"), 0, true);
  view.setUint32(place("TASK", "exit_signal"), RESTARTED.exitSignal, true);
  for (const name of OF_PROCESS) {
    for (const node of NODES) {
      if (isRecord(node, name)) view.setUint32(node.offset + 4, RESTARTED.pid, true);
    }
  }
  for (const field of ["debugreg0", "debugreg1", "debugreg2", "debugreg3", "debugreg7"]) {
    view.setBigUint64(place("CPU", field), 0n, true);
  }
  view.setBigUint64(place("CPU", "debugreg6"), 0xffff0ff0n, true);
  view.setUint32(place("CPU", "uses_debug"), 0, true);
  return image;
}

function findingsOf(change: (image: Uint8Array) => void): [string, number | undefined][] {
  const image = restartedImage();
  change(image);
  return restartedImageFindings(image, ORIGINAL, RESTARTED).map(({ path, offset }) => [path, offset]);
}

Deno.test("restartedImageFindings() takes what has a rule", () => {
  assertEquals(findingsOf(() => {}), []);
});

Deno.test("restartedImageFindings() names what breaks its rule, and any other byte", () => {
  const at = (name: RecordName, field: string) => {
    const offset = place(name, field);
    const node = NODES.find((one) => isRecord(one, name))!;
    const found = findingsOf((image) => image[offset]! ^= 1);
    assertEquals(found, [[`${node.path}.${field}`, offset]]);
  };
  at("TASK", "state");
  at("CPU", "debugreg7");
  at("CPU", "flags");
  at("VMA", "vm_pgoff");
  const parent = NODES.find((one) => isRecord(one, "MM"))!.offset + 4;
  assertEquals(findingsOf((image) => image[parent]! ^= 1).map(([, offset]) => offset), [parent]);
});

Deno.test("restartedImageFindings() names an auxiliary vector that is another", () => {
  const { offset, path } = NODES.find((one) => isRecord(one, "AUXV"))!;
  assertEquals(findingsOf((image) => image[offset + 16]! ^= 1), [[path, offset + 16]]);
});

Deno.test("restartedImageFindings() names the page that differs, a short image, and other records", () => {
  const pages = NODES.find((node) => node.kind === "pages")!;
  const [[path] = []] = findingsOf((image) => image[pages.offset + pages.length - 1]! ^= 1);
  assertEquals(/ 0x[0-9a-f]+000$/.test(path ?? ""), true, path);
  const { length } = NODES.at(-1)!;
  const short = restartedImageFindings(restartedImage().slice(0, -length), ORIGINAL, RESTARTED);
  assertEquals(short.map(({ id }) => id), ["E_TRUNCATED"]);
  const others = restartedImageFindings(buildImage(), ORIGINAL, RESTARTED);
  assertEquals(others.at(-1)?.message, "the restarted process has another image from here on");
});
