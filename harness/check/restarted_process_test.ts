// SPDX-License-Identifier: MIT
import { assertEquals } from "@std/assert";
import { unpackRecordedCase } from "../../lib/compare/testing/recorded_case.ts";
import { ImageEditor } from "../../lib/model/image_editor.ts";
import { type ProcessLook, restartedProcessFindings } from "./restarted_process.ts";

const FILE = new URL("../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);
const { image } = await unpackRecordedCase(await Deno.readFile(FILE));

const STATUS = [
  ...["VmPeak:\t     300 kB", "VmSize:\t     300 kB", "VmLck:\t       0 kB", "VmData:\t      20 kB"],
  ...["VmStk:\t     132 kB", "VmExe:\t       8 kB", "VmLib:\t       4 kB", "Threads:\t1"],
  ...["SigPnd:\t0000000000000000", "ShdPnd:\t0000000000000000", "SigBlk:\t0000000000000001"],
  ...["SigIgn:\t0000000000000000", "SigCgt:\t0000000000000000", "THP_enabled:\t1", ""],
].join("\n");
const WAS: ProcessLook = {
  status: STATUS,
  stat: "7 (a) b) T 1 7 7 0 -1 4194304 0",
  maps:
    "00400000-00401000 r--p 00000000 00:02 11    /jail/target\n7fff0000-7fff1000 rw-p 00000000 00:00 0    [stack]\n",
  smaps: "",
  exe: "/target",
  personality: "00040000",
  hasImage: false,
};

function found(is: Partial<ProcessLook>, more: Partial<Parameters<typeof restartedProcessFindings>[2]> = {}) {
  const options = { image, exe: "/target", ...more };
  return restartedProcessFindings({ ...WAS, ...is }, WAS, options).map(({ path }) => path);
}

Deno.test("restartedProcessFindings() has nothing against a process that is as it was", () => {
  assertEquals(found({}), []);
  assertEquals(found({ maps: WAS.maps.replace("/jail", "") }), []);
  const named = { ...WAS, maps: `${WAS.maps}7fff2000-7fff3000 rw-p 00000000 00:00 0    [anon:mine]\n` };
  const unnamed = { ...WAS, maps: `${WAS.maps}7fff2000-7fff3000 rw-p 00000000 00:00 0 \n` };
  assertEquals(restartedProcessFindings(unnamed, named, { image, exe: "/target" }), []);
});

Deno.test("restartedProcessFindings() tells each thing by which a process differs from the one that was saved", () => {
  const status = (from: string, to: string) => found({ status: STATUS.replace(from, to) });
  assertEquals(status("VmData:\t      20", "VmData:\t      24"), ["status VmData"]);
  assertEquals(status("VmPeak:\t     300", "VmPeak:\t     304"), ["status VmPeak"]);
  assertEquals(status("VmLck:\t       0", "VmLck:\t       4"), ["status VmLck"]);
  assertEquals(status("Threads:\t1", "Threads:\t2"), ["status Threads"]);
  for (const name of ["SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt"]) {
    assertEquals(status(`${name}:\t00`, `${name}:\t80`), [`status ${name}`]);
  }
  assertEquals(status("THP_enabled:\t1", "THP_enabled:\t0"), ["status THP_enabled"]);
  assertEquals(found({ stat: WAS.stat.replace("4194304", "4194368") }), ["stat flags, PF_FORKNOEXEC"]);
  assertEquals(found({ exe: "/run/caller" }), ["exe"]);
  assertEquals(found({ personality: "00000000" }), ["personality"]);
  assertEquals(found({ hasImage: true }), ["fd 7"]);
  assertEquals(found({ maps: WAS.maps.replace("r--p", "r-xp") }), ["maps"]);
  assertEquals(found({ maps: `${WAS.maps}more\n` }), ["maps"]);
  const named = (name: string) => found({ maps: WAS.maps.replace("[stack]", name) });
  assertEquals([named("[heap]"), named("[anon:mine]")], [["maps"], ["maps"]]);
});

Deno.test("restartedProcessFindings() takes from the caller what is the caller's", () => {
  const mine = { pending: 1n << 22n, isSmall: true, exe: "/caller" };
  const all = ["status ShdPnd", "status THP_enabled", "exe"];
  assertEquals(found({}, mine), all);
});

Deno.test("restartedProcessFindings() wants locked memory to be there, but what is locked on fault", () => {
  const [LOCKED, ON_FAULT] = [0x2000n, 0x80000n];
  const locked = (flags: bigint): Uint8Array => {
    const editor = new ImageEditor(image);
    editor.flip("VMA", "vm_flags", flags);
    return editor.bytes;
  };
  const [start, end] = ["vm_start", "vm_end"].map((field) => new ImageEditor(image).get("VMA", field)) as [
    bigint,
    bigint,
  ];
  const kib = Number(end - start) / 1024;
  const area = [start, end].map((address) => address.toString(16).padStart(8, "0")).join("-");
  const smaps = (rss: number) => `${area} r--p 0 0 0\nSize: ${kib} kB\nRss: ${rss} kB\n`;
  const status = STATUS.replace("VmLck:\t       0", `VmLck:\t ${kib}`);
  const judge = (flags: bigint) =>
    restartedProcessFindings({ ...WAS, status, smaps: smaps(0) }, { ...WAS, smaps: smaps(kib) }, {
      ...{ image: locked(flags), exe: "/target" },
    }).map(({ path }) => path);
  assertEquals(judge(LOCKED), [`smaps ${area} Rss`]);
  assertEquals(judge(LOCKED | ON_FAULT), []);
});
