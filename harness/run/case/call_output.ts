// SPDX-License-Identifier: MIT

import type { OpenFlag, OutputSpec } from "../../../lib/model/call.ts";
import type { CheckpointOptions } from "../../../vm/agent/agent_types.ts";
import { SHARE_TAG } from "../../../vm/qemu/qemu_arguments.ts";
import type { GuestAgent } from "../guest/guest.ts";

/** What of an output the agent's command names. */
export type OutputOptions = Pick<CheckpointOptions, "fd" | "reader" | "rlimitFsize">;

interface OpenOutput {
  readonly options: OutputOptions;
  /** Closes what the agent still has open, and says what the call left in a file; undefined: no file. */
  readonly finish: () => Promise<FileEnd | undefined>;
}

/** A file after a call. */
export interface FileEnd {
  /** What was written: the bytes from where the writing started to the end of the file, or of what moved. */
  readonly image: Uint8Array;
  /** Where the writing started, and the file position before and after the call. */
  readonly start: number;
  readonly before: number;
  readonly after: number;
  /** Whether the bytes that were there before, and are not to be overwritten, are still as they were. */
  readonly isUnharmed: boolean;
}

// include/uapi/asm-generic/fcntl.h, as x86 has it.
const OPEN_FLAG_BITS: Readonly<Record<OpenFlag, number>> = {
  O_RDONLY: 0,
  O_WRONLY: 1,
  O_RDWR: 2,
  O_APPEND: 0o2000,
  O_NONBLOCK: 0o4000,
  O_DIRECT: 0o40000,
  O_DIRECTORY: 0o200000,
  O_PATH: 0o10000000,
};
const O_CREAT = 0o100;
const O_TRUNC = 0o1000;
const O_CLOEXEC = 0o2000000;
/** A 64-bit kernel sets it by itself. */
const O_LARGEFILE = 0o100000;
const SEAL_BITS = { F_SEAL_GROW: 4, F_SEAL_WRITE: 8 } as const;
const [F_SETFL, F_SETPIPE_SZ, F_ADD_SEALS] = [4, 1031, 1033];
const [SEEK_SET, SEEK_CUR] = [0, 1];
const [AF_UNIX, SOCK_STREAM, SOL_SOCKET, SO_SNDBUF, SO_SNDTIMEO] = [1, 1, 1, 7, 21];
const MFD_CLOEXEC_AND_SEALING = 3;

/**
 * Opens what the image is to go to.
 *
 * @throws {AgentError} when the guest cannot
 */
export async function openOutput(agent: GuestAgent, spec: OutputSpec): Promise<OpenOutput> {
  switch (spec.kind) {
    case "none":
      return { options: { fd: "none" }, finish: () => Promise.resolve(undefined) };
    case "pipe":
    case "socket":
      return await openPair(agent, spec);
    case "epoll":
      return unread(agent, (await agent.call("epoll_create1", O_CLOEXEC)).result);
    case "eventfd":
      return unread(agent, (await agent.call("eventfd2", 0, O_CLOEXEC)).result);
    case "signalfd":
      return unread(agent, (await agent.call("signalfd4", -1, new Uint8Array(8), 8, O_CLOEXEC)).result);
    case "memfd": {
      const fd = await openMemfd(agent, spec);
      return await fileOutput(agent, { ...spec, path: `/proc/1/fd/${fd}` }, fd);
    }
    case "file":
      return await fileOutput(agent, spec, await openFile(agent, spec));
  }
}

/** A pipe or two sockets: the agent reads the one end, unless it is to go away before anything is written. */
async function openPair(
  agent: GuestAgent,
  { kind, size, flags, readerClosesAfter, timeout }: OutputSpec,
): Promise<OpenOutput> {
  const isPipe = kind === "pipe";
  const { bytes: { buffer, byteOffset } } = isPipe
    ? await agent.call("pipe2", new Uint8Array(8), O_CLOEXEC)
    : await agent.call("socketpair", AF_UNIX, SOCK_STREAM | O_CLOEXEC, 0, new Uint8Array(8));
  const view = new DataView(buffer, byteOffset);
  const [reader, fd] = [view.getInt32(0, true), view.getInt32(4, true)];
  if (size !== undefined && isPipe) await agent.call("fcntl", fd, F_SETPIPE_SZ, size);
  else if (size !== undefined) {
    const value = new Uint8Array(Uint32Array.of(size).buffer);
    await agent.call("setsockopt", fd, SOL_SOCKET, SO_SNDBUF, value, value.length);
  }
  if (timeout !== undefined) {
    const value = wordBytes(agent, BigInt(Math.floor(timeout / 1000)), BigInt(timeout % 1000 * 1000));
    await agent.call("setsockopt", fd, SOL_SOCKET, SO_SNDTIMEO, value, value.length);
  }
  if (flags !== undefined && isPipe) await agent.call("fcntl", fd, F_SETFL, flagBits(flags));
  if (readerClosesAfter !== 0) return { options: { fd, reader }, finish: () => Promise.resolve(undefined) };
  await agent.call("close", reader);
  return unread(agent, fd);
}

function unread(agent: GuestAgent, fd: number): OpenOutput {
  return { options: { fd }, finish: async () => void await agent.call("close", fd) };
}

function flagBits(flags: readonly OpenFlag[]): number {
  const isOther = flags.some((name) => ["O_RDONLY", "O_RDWR", "O_PATH"].includes(name));
  return flags.reduce((sum, name) => sum | OPEN_FLAG_BITS[name], isOther ? 0 : OPEN_FLAG_BITS.O_WRONLY);
}

function filler(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => i % 249 + 1);
}

async function openMemfd(agent: GuestAgent, { seals = [], initialSize = 0 }: OutputSpec): Promise<number> {
  const { result: fd } = await agent.call("memfd_create", "image", MFD_CLOEXEC_AND_SEALING);
  if (initialSize > 0) await agent.call("write", fd, filler(initialSize), initialSize);
  await agent.seek(fd, 0, SEEK_SET);
  await agent.call("fcntl", fd, F_ADD_SEALS, seals.reduce((bits, seal) => bits | SEAL_BITS[seal], 0));
  return fd;
}

async function openFile(agent: GuestAgent, spec: OutputSpec): Promise<number> {
  const { path = "", flags = ["O_WRONLY"], initialSize, fsSize, mount } = spec;
  if (fsSize !== undefined || mount !== undefined) {
    const directory = path.slice(0, path.lastIndexOf("/"));
    await agent.mkdir(directory);
    await agent.mount(
      mount === undefined
        ? { type: "tmpfs", directory, data: `size=${fsSize}` }
        : { type: "9p", source: SHARE_TAG, directory, data: "trans=virtio,version=9p2000.L" },
    );
  }
  if (initialSize !== undefined) await agent.writeFile(path, filler(initialSize));
  const isMade = path.startsWith("/work/") && !flags.includes("O_DIRECTORY") && !flags.includes("O_PATH");
  // A file of the host is still there from the last scenario.
  const making = (isMade ? O_CREAT : 0) | (isMade && initialSize === undefined ? O_TRUNC : 0);
  return (await agent.call("open", path, flagBits(flags) | O_CLOEXEC | O_LARGEFILE | making, 0o600)).result;
}

async function fileOutput(
  agent: GuestAgent,
  { kind, path = "", position = 0, rlimitFsize, initialSize = 0, flags = [] }: OutputSpec,
  fd: number,
): Promise<OpenOutput> {
  if (position !== 0) await agent.seek(fd, position, SEEK_SET);
  const isSeekable = path.startsWith("/dev/ram") || path.startsWith("/work/") || kind === "memfd";
  const isFile = isSeekable && !flags.includes("O_PATH") && !flags.includes("O_DIRECTORY");
  const options = { fd, rlimitFsize };
  if (!isFile) return { ...unread(agent, fd), options };
  const start = flags.includes("O_APPEND") ? initialSize : position;
  const finish = async (): Promise<FileEnd> => {
    const after = await agent.seek(fd, 0, SEEK_CUR);
    const moved = after - start;
    // A file may have grown further than its position says; a disk is never longer or shorter.
    const isDisk = path.startsWith("/dev/");
    const end = await agent.readFile(path, { offset: start, ...isDisk ? { length: moved } : {} });
    const old = await agent.readFile(path, { offset: 0, length: Math.min(initialSize, start) });
    await agent.call("close", fd);
    // Where an image is written over something, what is behind the file position is what was there before.
    const isOver = initialSize > start && end.length <= initialSize - start;
    const image = isOver ? end.subarray(0, moved) : end;
    const whole = filler(initialSize);
    const isUnharmed = isSame(old, whole.subarray(0, start)) &&
      isSame(end.subarray(image.length), whole.subarray(start + image.length));
    return { image, start, before: position, after, isUnharmed };
  };
  return { options, finish };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** Words as the agent has them in memory, for a struct of longs or pointers. */
export function wordBytes({ info: { wordSize } }: GuestAgent, ...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(
    (wordSize === 8 ? BigUint64Array.from(values) : Uint32Array.from(values, Number)).buffer,
  );
}
