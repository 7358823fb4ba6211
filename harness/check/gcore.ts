// SPDX-License-Identifier: MIT

import { delay } from "../../vm/host/deadline.ts";
import { compareCore, unreadSections } from "../../lib/compare/compare_core.ts";
import { type Finding, mismatch } from "../../lib/image/finding.ts";
import { readImage } from "../../lib/image/image.ts";
import { MalformedImageError } from "../../lib/image/malformed_image_error.ts";
import type { ProgramScenario } from "../../lib/model/scenario.ts";
import { type LoadedSegment, readElf } from "../../vm/host/elf_file.ts";
import { ExpectedError } from "../../vm/host/errors.ts";
import type { GuestAgent } from "../run/guest/guest.ts";
import type { SecondCheck } from "../run/case/observe_checkpoint.ts";

/** The debugger, and the Python modules without which it does not start. */
export const GDB: ProgramScenario = {
  argv: ["/usr/bin/gdb"],
  package: "gdb",
  files: [
    ...["encodings/__init__", "encodings/aliases", "encodings/ascii", "encodings/utf_8"],
    ...["_collections_abc", "_sitebuiltins", "abc", "codecs", "genericpath", "io", "os", "posixpath"],
    ...["site", "stat"],
  ].map((name) => `/usr/lib/python3.*/${name}.py`),
};

const CORE = "/work/core";
const DEADLINE_MS = 120_000;
const PAUSE_MS = 20;

/**
 * Has gdb write a core file of a stopped process, and holds the image against it: the second check of a scenario with
 * `"judge": "gcore"`. gdb attaches and detaches: nothing about the process can be judged after that but its memory.
 *
 * @param options `tamper`: changes the core before it is compared, for tests that must see a difference found
 */
export async function checkWithGcore(
  agent: GuestAgent,
  { pid, image, tamper }: { pid: number; image: Uint8Array; tamper?: (core: Uint8Array) => void },
): ReturnType<SecondCheck> {
  const { ended, output } = await runGdb(agent, pid, [`gcore ${CORE}`]);
  const core = await agent.readFile(CORE).catch(() => undefined);
  if (core === undefined || ended !== "status 0") {
    const how = ended === "status 0" ? "wrote no core file" : `ended with ${ended}`;
    return { findings: [noCore(`${how}: ${output.trim().slice(-2000)}`)] };
  }
  tamper?.(core);
  try {
    const comparison = compareCore(readImage(image), readCore(core), unreadSections(output));
    const { findings, compared, zero, notInCore, unread } = comparison;
    return {
      findings: compared === 0 ? [...findings, noCore("no page of the image is in the core")] : findings,
      notes: [
        `gdb's core: ${compared} pages compared, ${zero} more are zeros there, ${notInCore} not there, ` +
        `${unread} unread`,
      ],
    };
  } catch (error) {
    // That the image is malformed is another check's finding.
    if (error instanceof MalformedImageError) return { findings: [] };
    if (error instanceof ExpectedError) return { findings: [noCore(error.message)] };
    throw error;
  }
}

/** The memory in a core file. @throws {ExpectedError} when it is none, or not a whole one */
export function readCore(core: Uint8Array): readonly LoadedSegment[] {
  const ET_CORE = 4;
  const { type, loaded } = readElf(core, "core file");
  if (type === ET_CORE) return loaded;
  throw new ExpectedError(`core file: expected an ELF file of type ${ET_CORE}, found type ${type}`);
}

function noCore(actual: string): Finding {
  const message = "gdb did not write a core file that the image can be held against";
  return mismatch("E_GCORE", { path: "gdb", message, actual });
}

/** Has gdb attach to a stopped process, carry out its commands, such as `gcore FILE`, and detach. */
export async function runGdb(
  agent: GuestAgent,
  pid: number,
  commands: readonly string[],
): Promise<{ ended: string; output: string }> {
  const first = ["maint set worker-threads 0", "set debuginfod enabled off", "set auto-load no"];
  const { pid: debuggerPid, stdout, stderr } = await agent.exec([
    ...[...GDB.argv, "-batch", "-nx"],
    ...first.flatMap((command) => ["-iex", command]),
    ...["-p", String(pid)],
    ...commands.flatMap((command) => ["-ex", command]),
  ], { env: { PATH: "/usr/bin:/bin", HOME: "/", PYTHONDONTWRITEBYTECODE: "1" } });
  const end = performance.now() + DEADLINE_MS;
  let ended = "";
  while (ended === "") {
    const state = await agent.quiesce(debuggerPid, { deadlineMs: DEADLINE_MS });
    if (state.state === "exited") {
      ended = state.signal === undefined ? `status ${state.code}` : `signal ${state.signal}`;
    } else if (performance.now() > end) ended = `nothing after ${DEADLINE_MS / 1000} s`;
    else await delay(PAUSE_MS);
  }
  const decoder = new TextDecoder();
  const output = decoder.decode(await agent.readFile(stdout)) + decoder.decode(await agent.readFile(stderr));
  return { ended, output };
}
