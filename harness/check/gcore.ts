// SPDX-License-Identifier: MIT

import { compareCore, type CoreComparison, unreadSections } from "../../lib/compare/compare_core.ts";
import { ElfCoreError, parseElfCore } from "../../lib/compare/elf_core.ts";
import { type Finding, mismatch } from "../../lib/image/finding.ts";
import { readImage } from "../../lib/image/image.ts";
import { MalformedImageError } from "../../lib/image/malformed_image_error.ts";
import type { ProgramScenario } from "../../lib/model/scenario.ts";
import type { GuestAgent } from "../run/guest/guest.ts";
import type { SecondCheck } from "../run/case/case_outcome.ts";

/** The debugger, and the Python modules without which it does not start. */
export const GDB: ProgramScenario = {
  argv: ["/usr/bin/gdb"],
  package: "gdb",
  files: [
    ...["__init__", "aliases", "ascii", "utf_8"].map((name) => `/usr/lib/python3.*/encodings/${name}.py`),
    ...[
      "_collections_abc",
      "_sitebuiltins",
      "abc",
      "codecs",
      "genericpath",
      "io",
      "os",
      "posixpath",
      "site",
      "stat",
    ]
      .map((name) => `/usr/lib/python3.*/${name}.py`),
  ],
};

/** What gdb says of an image. */
interface GcoreOutcome {
  readonly findings: readonly Finding[];
  /** What was compared; undefined when there was no core. */
  readonly comparison: CoreComparison | undefined;
}

/** How {@linkcode checkWithGcore} is called. */
interface GcoreOptions {
  readonly pid: number;
  readonly image: Uint8Array;
  readonly deadlineMs?: number;
  /** What becomes of the core before it is compared: for tests that must see a difference found. */
  readonly tamper?: (core: Uint8Array) => void;
}

const CORE = "/work/core";
const DEADLINE_MS = 120_000;
const PAUSE_MS = 20;

/**
 * Has gdb write a core file of a stopped process, and holds the image against it. gdb attaches and detaches:
 * nothing about the process can be judged after that but its memory.
 */
export async function checkWithGcore(agent: GuestAgent, options: GcoreOptions): Promise<GcoreOutcome> {
  const { ended, output } = await runGdb(agent, options);
  const bytes = await agent.readFile(CORE).catch(() => undefined);
  if (bytes === undefined || ended !== "status 0") {
    return {
      findings: [noCore(`ended with ${ended}: ${output.trim().slice(-2000)}`)],
      comparison: undefined,
    };
  }
  options.tamper?.(bytes);
  try {
    const comparison = compareCore(readImage(options.image), parseElfCore(bytes), unreadSections(output));
    const nothing = comparison.compared === 0 ? [noCore("no page of the image is in the core")] : [];
    return { findings: [...comparison.findings, ...nothing], comparison };
  } catch (error) {
    // That the image is malformed is another check's finding.
    if (error instanceof MalformedImageError) return { findings: [], comparison: undefined };
    if (error instanceof ElfCoreError) return { findings: [noCore(error.message)], comparison: undefined };
    throw error;
  }
}

function noCore(actual: string): Finding {
  const message = "gdb did not write a core file that the image can be held against";
  return mismatch("E_GCORE", { path: "gdb", message, actual });
}

/** The second check of a scenario with `"judge": "gcore"`. */
export function gcoreCheck(agent: GuestAgent): SecondCheck {
  return async ({ raw: { pid }, image }) => {
    const { findings, comparison } = await checkWithGcore(agent, { pid, image });
    if (!comparison) return { findings };
    const { compared, zero, notInCore, unread } = comparison;
    return {
      findings,
      notes: [
        `gdb's core: ${compared} pages compared, ${zero} more are zeros there, ${notInCore} not there, ` +
        `${unread} unread`,
      ],
    };
  };
}

/**
 * Has gdb attach to a stopped process, carry out commands, and detach.
 *
 * @param commands gdb's own, such as `gcore FILE`; by default that which writes the core
 */
export async function runGdb(
  agent: GuestAgent,
  { pid, deadlineMs = DEADLINE_MS }: Pick<GcoreOptions, "pid" | "deadlineMs">,
  commands: readonly string[] = [`gcore ${CORE}`],
): Promise<{ ended: string; output: string }> {
  const first = ["maint set worker-threads 0", "set debuginfod enabled off", "set auto-load no"];
  const { pid: debuggerPid, stdout, stderr } = await agent.exec([
    ...[...GDB.argv, "-batch", "-nx"],
    ...first.flatMap((command) => ["-iex", command]),
    ...["-p", String(pid)],
    ...commands.flatMap((command) => ["-ex", command]),
  ], { env: { PATH: "/usr/bin:/bin", HOME: "/", PYTHONDONTWRITEBYTECODE: "1" } });
  const end = performance.now() + deadlineMs;
  let ended = "";
  while (ended === "") {
    const state = await agent.quiesce(debuggerPid, { deadlineMs });
    if (state.state === "exited") {
      ended = state.signal === undefined ? `status ${state.code}` : `signal ${state.signal}`;
    } else if (performance.now() > end) ended = `nothing after ${deadlineMs / 1000} s`;
    else await new Promise((done) => setTimeout(done, PAUSE_MS));
  }
  const decoder = new TextDecoder();
  const output = decoder.decode(await agent.readFile(stdout)) + decoder.decode(await agent.readFile(stderr));
  return { ended, output };
}
