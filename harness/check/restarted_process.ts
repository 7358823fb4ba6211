// SPDX-License-Identifier: MIT

import { byteText, shownByteText } from "../../lib/printable.ts";
import { ERRNO } from "../../lib/abi/errno.ts";
import { type Finding, mismatch } from "../../lib/image/finding.ts";
import { readNodes } from "../../lib/image/image.ts";
import { type ImageNode, isRecord } from "../../lib/image/nodes.ts";
import { VM } from "../../lib/abi/vm_flags.ts";
import { AgentError } from "../../vm/agent/agent_session.ts";
import type { GuestAgent } from "../run/guest/guest.ts";

/** What /proc says of a process beside what its image holds. */
export interface ProcessLook {
  readonly status: string;
  readonly stat: string;
  readonly maps: string;
  readonly smaps: string;
  /** Where /proc/PID/exe leads to. */
  readonly exe: string;
  readonly personality: string;
  /** Whether the descriptor is open by which a caller reads its image. */
  readonly hasImage: boolean;
}

/** What of a process is its caller's, and not the image's. */
export interface FromCaller {
  /** Where its program is, if not the image's. */
  readonly exe?: string | undefined;
  /** The mask of signals that wait for the process as status has it. */
  readonly pending?: bigint | undefined;
  /** Set where it may have no huge pages. */
  readonly isSmall?: boolean | undefined;
}

const MAX_PATH = 256;
/** The descriptor of the image (vm/guest/target/target.h), which is closed on exec. */
const IMAGE_FD = 7;

/** ADDR_NO_RANDOMIZE, which the agent gives to all that it starts (vm/guest/agent/spawn.c). */
const PERSONALITY = "00040000";

/** Looks at a stopped process. */
export async function lookAtProcess(agent: GuestAgent, pid: number): Promise<ProcessLook> {
  const blobs = await agent.observe(pid, ["status", "stat", "maps", "smaps"]);
  const text = (name: string) => byteText(blobs.get(name) ?? new Uint8Array(0));
  const personality = await agent.readFile(`/proc/${pid}/personality`);
  const exe = await agent.call("readlink", `/proc/${pid}/exe`, new Uint8Array(MAX_PATH), MAX_PATH);
  const image = agent.call("readlink", `/proc/${pid}/fd/${IMAGE_FD}`, new Uint8Array(MAX_PATH), MAX_PATH);
  return {
    ...{ status: text("status"), stat: text("stat"), maps: text("maps"), smaps: text("smaps") },
    exe: byteText(exe.bytes.subarray(0, exe.result)),
    personality: byteText(personality).trim(),
    hasImage: await image.then(() => true, (error) => {
      if (error instanceof AgentError && error.errno === ERRNO.ENOENT) return false;
      throw error;
    }),
  };
}

/** Sizes that follow from the areas of an address space. */
const SIZES = ["VmSize", "VmData", "VmStk", "VmExe", "VmLib"];

/**
 * What is wrong with a process that was restarted and has not run yet, as far as it is in no image: sizes and mappings
 * are those of the process that was saved; flags and descriptors are as behind execve(2).
 *
 * @param is the process
 * @param was the one that was saved
 */
export function restartedProcessFindings(
  is: ProcessLook,
  was: ProcessLook,
  { image, exe, pending = 0n, isSmall = false }:
    & FromCaller
    & { readonly image: Uint8Array },
): Finding[] {
  const { nodes } = readNodes(image);
  const findings: Finding[] = [];
  const compare = (path: string, expected: string | undefined, actual: string | undefined) => {
    if (expected === actual) return;
    const message = "a restarted process must not show it so";
    const shown = (text = "none") => shownByteText(text);
    const values = { message, expected: shown(expected), actual: shown(actual) };
    findings.push(mismatch("E_RESTARTED_PROCESS", { path, ...values }));
  };
  for (const name of SIZES) compare(`status ${name}`, lineOf(was.status, name), lineOf(is.status, name));
  // Nothing of it was ever larger.
  compare("status VmPeak", lineOf(is.status, "VmSize"), lineOf(is.status, "VmPeak"));
  compare("status Threads", "1", lineOf(is.status, "Threads"));
  const mask = (value: bigint) => value.toString(16).padStart(16, "0");
  compare("status SigPnd", mask(0n), lineOf(is.status, "SigPnd"));
  compare("status ShdPnd", mask(pending), lineOf(is.status, "ShdPnd"));
  // A call that waited with another mask begins anew, and sets it again.
  const blocked = nodes.find((node) => isRecord(node, "SIGNALS"))?.fields.blocked ?? 0n;
  compare("status SigBlk", mask(blocked), lineOf(is.status, "SigBlk"));
  for (const name of ["SigIgn", "SigCgt"]) {
    compare(`status ${name}`, lineOf(was.status, name), lineOf(is.status, name));
  }
  const huge = lineOf(is.status, "THP_enabled");
  if (huge !== undefined) compare("status THP_enabled", isSmall ? "0" : "1", huge);
  compare("stat flags, PF_FORKNOEXEC", "0", String(flagsOf(is.stat) & PF_FORKNOEXEC));
  compare("personality", PERSONALITY, is.personality);
  compare("exe", lastName(exe ?? programOf(nodes) ?? was.exe), lastName(is.exe));
  compare(`fd ${IMAGE_FD}`, "closed", is.hasImage ? "open" : "closed");
  const [mapsWere, maps] = [was.maps, is.maps].map((text) => text.split("\n").map(lastName)) as [
    string[],
    string[],
  ];
  const at = mapsWere.findIndex((line, index) => line !== maps[index]);
  if (at >= 0 || maps.length !== mapsWere.length) {
    compare("maps", mapsWere[at] ?? "its end", maps[at < 0 ? mapsWere.length : at] ?? "its end");
  }
  const locked = lockedAreas(nodes);
  // Not what was counted then: where mremap(2) leaves an area unlocked behind it, Linux 6.1 still counts that.
  const bytes = locked.reduce((sum, { start, end }) => sum + (end - start), 0n);
  compare("status VmLck", String(bytes / 1024n), lineOf(is.status, "VmLck"));
  const [populatedWas, populated] = [populatedOf(was.smaps), populatedOf(is.smaps)];
  for (const { start, end, isOnFault } of locked) {
    const area = [start, end].map((address) => address.toString(16).padStart(8, "0")).join("-");
    const size = populatedWas.get(area);
    if (!isOnFault && size?.rss === size?.all) {
      compare(`smaps ${area} Rss`, size?.rss, populated.get(area)?.rss);
    }
  }
  return findings;
}

const PF_FORKNOEXEC = 0x40;

function flagsOf(stat: string): number {
  const FLAGS = 7; // of the fields behind the name
  return Number(stat.slice(stat.lastIndexOf(")")).split(" ")[FLAGS]);
}

function lineOf(status: string, name: string): string | undefined {
  return new RegExp(`^${name}:\\s+(.*?)(?: kB)?$`, "m").exec(status)?.[1];
}

/**
 * Directories are another root directory's, and are compared in the image; names that a program gave to its memory
 * (PR_SET_VMA_ANON_NAME) are not in the image.
 */
function lastName(line: string): string {
  return line.replace(/ *\/(?:.*\/)?/, " /").replace(/ *\[anon:.*\]$/, " ");
}

/** The file whose mapping holds the code; a device is none that a process can execute. */
function programOf(nodes: readonly ImageNode[]): string | undefined {
  const start = nodes.find((node) => isRecord(node, "MM"))?.fields.start_code ?? 0n;
  const at = nodes.findIndex((node) =>
    isRecord(node, "VMA") && (node.fields.vm_flags & VM.EXEC) !== 0n && node.fields.vm_start <= start &&
    start < node.fields.vm_end
  );
  const name = nodes[at + 1];
  const path = isRecord(name, "FNAME") ? byteText(name.payload).replace(/\0$/, "") : undefined;
  return path?.startsWith("/dev/") ? undefined : path;
}

/** Areas that are locked, which smaps does not tell from those that are so when they are used. */
function lockedAreas(nodes: readonly ImageNode[]): { start: bigint; end: bigint; isOnFault: boolean }[] {
  return nodes.flatMap((node) => {
    if (!isRecord(node, "VMA")) return [];
    const { vm_flags: flags, vm_start: start, vm_end: end } = node.fields;
    return (flags & VM.LOCKED) === 0n ? [] : [{ start, end, isOnFault: (flags & VM.LOCKONFAULT) !== 0n }];
  });
}

/** Sizes of areas, and of what is present of them, in the words of smaps. */
function populatedOf(smaps: string): ReadonlyMap<string, { all: string; rss: string }> {
  const areas = smaps.split(/^(?=[\da-f]+-[\da-f]+ )/m);
  return new Map(areas.map((area) => [area.split(" ", 1)[0]!, {
    all: lineOf(area, "Size") ?? "",
    rss: lineOf(area, "Rss") ?? "",
  }]));
}
