// SPDX-License-Identifier: MIT

import { joinBytes } from "../../../../lib/bytes.ts";
import type { TargetEvent } from "../../../../vm/agent/agent_types.ts";
import type { GuestAgent } from "../../guest/guest.ts";
import type { Session, SessionStop } from "./session.ts";

const HASH_RECORD = 40;

/**
 * An agent that answers what a session holds, so that the real runner can be run on it.
 *
 * @param expected what the results must be of, in order: another program than the recorded one would be judged by
 * results that are not its own
 * @throws {RangeError} when they are of something else
 */
export function replayAgent(session: Session, expected: readonly { readonly what: string }[]): GuestAgent {
  const { kernel, stops, end } = session;
  checkResults(session, expected);
  let at = -1;
  const stop = (): SessionStop => stops[at] ?? stops.at(-1)!;
  const done = Promise.resolve();
  const agent: Partial<GuestAgent> = {
    info: {
      ...{ arch: "i386", wordSize: 4, pageSize: 4096, sysname: "Linux", zeroPageFrame: 0n, cpus: 1 },
      ...{ release: kernel.release, version: kernel.version, machine: kernel.machine },
    },
    clean: () => done,
    program: () => done,
    spawn: () => Promise.resolve(stops[0]?.pid ?? 0),
    writeFile: () => done,
    call: () => Promise.resolve({ result: 0, bytes: new Uint8Array(0) }),
    lastId: 0,
    cont: () => done,
    event: () => Promise.resolve(eventOf(stops[++at], at, end)),
    results: () => Promise.resolve(encodeResults(session.results.slice(0, stops[at]?.results))),
    time: () => Promise.resolve({ realtime: stop().seconds, monotonic: 0n } as never),
    targetImage: () =>
      Promise.resolve(at === 0 ? stop().image : joinBytes(stops.slice(0, at + 1).map(({ image }) => image))),
    readFile: (path) =>
      Promise.resolve(path === "/proc/cpuinfo" ? kernel.cpuinfo : new Uint8Array(0)) as never,
    observe: (_, names) => Promise.resolve(observed(stop(), names)),
    registers: (_, options = {}) => Promise.resolve(registersOf(stop(), options.fpu ?? true)),
    pageHash: (_, addresses) => Promise.resolve(hashesOf(stop(), addresses)),
  };
  return agent as GuestAgent;
}

function checkResults({ results }: Session, expected: readonly { readonly what: string }[]): void {
  results.forEach(({ what }, index) => {
    const other = expected[index]?.what;
    if (other === what) return;
    throw new RangeError(
      `Result ${index} of the session is of "${what}": the program now has "${other ?? "none"}"`,
    );
  });
}

function eventOf(stop: SessionStop | undefined, label: number, end: TargetEvent): TargetEvent {
  if (!stop) return end;
  const { pid, scratch, resumeAddress } = stop;
  return { kind: "stop", pid, label, scratch, resumeAddress };
}

/** Results as the target writes them: a number, or the length of a report and its bytes. */
function encodeResults(results: Session["results"]): Uint8Array<ArrayBuffer> {
  return joinBytes(results.flatMap(({ value, bytes }) => {
    const number = new Uint8Array(8);
    new DataView(number.buffer).setBigInt64(0, bytes ? BigInt(bytes.length) : value ?? 0n, true);
    return bytes ? [number, bytes, new Uint8Array(-bytes.length & 7)] : [number];
  }));
}

/** Files of /proc/PID; what the kernel does not have is left out. */
function observed({ files }: SessionStop, names: readonly string[]): Map<string, Uint8Array<ArrayBuffer>> {
  const found = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of names.map((name) => name.replace("?", ""))) {
    const bytes = name === "pages" ? listedPages(files) : files.get(name.endsWith("/stat") ? "stat" : name);
    if (bytes) found.set(name, bytes.slice());
  }
  return found;
}

/** The agent's list: pages that are there, which in an entry of 32 bits shows in its page frame alone. */
function listedPages(files: ReadonlyMap<string, Uint8Array>): Uint8Array {
  const pagemap = files.get("pagemap") ?? new Uint8Array(0);
  const view = new DataView(pagemap.buffer, pagemap.byteOffset, pagemap.byteLength);
  const listed: Uint8Array[] = [];
  for (let at = 0; at < pagemap.length; at += 16) {
    if (view.getUint32(at + 8, true) !== 0) listed.push(pagemap.subarray(at, at + 16));
  }
  return joinBytes(listed);
}

function registersOf({ files }: SessionStop, fpu: boolean): Map<string, Uint8Array<ArrayBuffer>> {
  const found = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const name of ["gpr", "debugreg", "tls", ...fpu ? ["fpxregs"] : []]) {
    const bytes = files.get(`ptrace.${name}`);
    if (bytes) found.set(name, bytes.slice());
  }
  return found;
}

/** Lanes a of the digests in the upper halves, as the agent gives them; ~0 where the page was not read. */
function hashesOf({ files }: SessionStop, addresses: readonly bigint[]): BigUint64Array<ArrayBuffer> {
  const pages = files.get("pages") ?? new Uint8Array(0);
  const view = new DataView(pages.buffer, pages.byteOffset, pages.byteLength);
  const hashes = new Map<bigint, bigint>();
  for (let at = 0; at + HASH_RECORD <= pages.length; at += HASH_RECORD) {
    hashes.set(view.getBigUint64(at, true), view.getBigUint64(at + 32, true));
  }
  return BigUint64Array.from(addresses, (address) => hashes.get(address) ?? 0n);
}
