// SPDX-License-Identifier: MIT

import { unpackRecordedCase } from "../../../lib/compare/testing/recorded_case.ts";
import { checkpointReply } from "../../../vm/agent/testing/checkpoint_reply.ts";
import type { Guest, GuestAgent } from "../guest/guest.ts";
import type { PreparedGuest } from "../guest/prepare_guest.ts";
import { PLATFORMS } from "../platform.ts";

const FILE = new URL("../../../fixtures/recorded/x86_64-mixed.json.gz", import.meta.url);

/** What a real guest answered once. */
export const RECORDED = await unpackRecordedCase(await Deno.readFile(FILE));
const { raw, image, kernel, compileTarget } = RECORDED;

/** An agent that answers as a real one did, but for some files of /proc/PID. */
export function fakeAgent(
  files: Readonly<Record<string, string>> = {},
  others: Partial<GuestAgent> = {},
): GuestAgent {
  const agent: Partial<GuestAgent> = {
    info: {
      ...{ release: "6.1.0", version: kernel.version, machine: kernel.machine, wordSize: 8 },
      zeroPageFrame: kernel.zeroFrame,
    } as GuestAgent["info"],
    readFile: () => Promise.resolve(new TextEncoder().encode("flags\t\t: fpu\n")),
    clean: () => Promise.resolve(),
    exec: () => Promise.resolve({ pid: raw.pid, stderr: "/work/stderr" }) as ReturnType<GuestAgent["exec"]>,
    quiesce: () => Promise.resolve({ state: "S", syscall: "0" }),
    stop: () => Promise.resolve(),
    observe: (_, names) =>
      Promise.resolve(
        new Map(
          names.map((name) => name.replace("?", "")).map((name) => {
            const text = files[name];
            const file = raw.proc.get(name.endsWith("/stat") ? "stat" : name) ?? new Uint8Array(0);
            return [name, text === undefined ? file.slice() : new TextEncoder().encode(text)];
          }),
        ),
      ),
    checkpoint: () =>
      Promise.resolve(checkpointReply({ image, secondsBefore: raw.t0, secondsAfter: raw.t1 })),
    registers: () =>
      Promise.resolve(new Map([...raw.registers].map(([name, bytes]) => [name, bytes.slice()]))),
    pageHash: (_, addresses) => Promise.resolve(new BigUint64Array(addresses.length)),
    ...others,
  };
  return agent as GuestAgent;
}

/** A kernel whose guests are made by a function. */
export function fakePrepared(
  startGuest: () => Promise<Guest>,
  signal: AbortSignal | undefined = undefined,
): PreparedGuest {
  return {
    ...{
      platform: PLATFORMS[0]!,
      kernelName: "Linux 6.1.0",
      notes: [],
      self: false,
      build: undefined,
      vmlinux: undefined,
    },
    ...{ acceleratorReason: "none: nothing runs", checkpointNr: compileTarget.checkpointNr, compileTarget },
    revision: undefined,
    ...{ compiled: new Map(), filesOf: new Map(), skipReason: () => undefined },
    ...{ startGuest, snapshots: undefined, signal },
  };
}
