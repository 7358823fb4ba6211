// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { PAGE_SIZE } from "../abi/arch.ts";
import {
  described,
  integer,
  list,
  type Merged,
  object,
  oneOf,
  optional,
  variant,
  wordSet,
} from "../schema.ts";
import { CALL_PID } from "./call_pid.ts";
import { ABSOLUTE_PATH, FILE_NAME, ID, NAME } from "./fields.ts";

/** Flags of open(2) that an output may have. */
const OPEN_FLAGS = [
  "O_RDONLY",
  "O_WRONLY",
  "O_RDWR",
  "O_APPEND",
  "O_NONBLOCK",
  "O_DIRECTORY",
  "O_PATH",
] as const;

/** One of {@linkcode OPEN_FLAGS}. */
export type OpenFlag = (typeof OPEN_FLAGS)[number];

/** Seals that a memfd may have. */
const SEALS = ["F_SEAL_GROW", "F_SEAL_WRITE"] as const;

const MAX_BYTES = 2 ** 40;
const BYTES = integer(0, MAX_BYTES);

const CALL = object({
  uid: optional(ID, "User id of the caller; its only one, unless `euid` says otherwise."),
  euid: optional(ID, "Effective user id of the caller, as a program has that changes it for a while."),
  gid: optional(ID, "Group id of the caller; its only one."),
  flags: optional(integer(0, Number.MAX_SAFE_INTEGER), "The third argument."),
  pid: optional(CALL_PID, `Whose pid it is given; by default the target's. "self": the target calls.`),
  times: optional(
    integer(1, 10_000),
    "How often the same caller calls, one time after the other; a leak shows in hundreds.",
  ),
  signals: optional(oneOf(["ignored", "fatal"]), "What SIGPIPE and SIGXFSZ do to the caller."),
  alarm: optional(
    integer(1, 60_000_000),
    "Microseconds from one SIGALRM for the caller to the next. It has a handler, which restarts system calls; " +
      "the first of these signals must come before the end of the image.",
  ),
});

const SIZE = {
  size: optional(integer(1, 2 ** 20), "Bytes that fit into a pipe or are asked for as a socket's buffer."),
};
const READER = {
  readerClosesAfter: optional(BYTES, "The reader goes away after so many bytes; 0: there was never one."),
};
const FILE = {
  position: optional(BYTES, "File position before the call."),
  initialSize: optional(integer(0, 2 ** 24), "Bytes in the file before the call."),
  rlimitFsize: optional(BYTES, "RLIMIT_FSIZE of the caller."),
};

function is<const Word extends string>(word: Word): v.LiteralSchema<Word, string> {
  return v.literal(word, word);
}

const NONBLOCK: v.GenericSchema<readonly OpenFlag[]> = wordSet(["O_NONBLOCK"]);

const OUTPUTS = [
  object({
    kind: is("pipe"),
    ...SIZE,
    ...READER,
    flags: optional(NONBLOCK, "Of the end that is written to."),
  }),
  object({ kind: is("socket"), ...SIZE, ...READER }),
  object({ kind: is("memfd"), ...FILE, seals: optional(wordSet(SEALS), "Seals of the memfd.") }),
  object({
    kind: is("file"),
    path: described("The file, which is made unless its directory is one of the system.", ABSOLUTE_PATH),
    flags: optional(wordSet(OPEN_FLAGS), "Flags of open(2); O_WRONLY by default."),
    ...FILE,
    fsSize: optional(
      v.pipe(
        integer(PAGE_SIZE, 2 ** 30),
        v.multipleOf(PAGE_SIZE, `a whole number of pages of ${PAGE_SIZE} bytes`),
      ),
      "Bytes of the tmpfs, a whole number of pages, that is mounted for the file.",
    ),
    mount: optional(oneOf(["9p"]), "What is mounted for the file: a directory of the host."),
  }),
  object({ kind: is("epoll") }),
  object({ kind: is("eventfd") }),
  object({ kind: is("signalfd") }),
  object({ kind: is("none") }),
] as const;

const AT = described("Bytes of the image that have been read when it happens.", BYTES);
const AREA = { area: NAME };

const ACTIONS = [
  object({ at: AT, do: is("nothing") }),
  /** SIGKILL for the target. */
  object({ at: AT, do: is("kill") }),
  /** SIGCONT for the target. */
  object({ at: AT, do: is("cont") }),
  object({
    at: AT,
    do: is("signal"),
    signal: optional(oneOf(["SIGKILL", "SIGTERM", "SIGUSR1"]), "For the caller."),
    handled: optional(
      v.boolean("true or false"),
      "Whether the caller has a handler, which restarts system calls.",
    ),
  }),
  /** A byte written through /proc/PID/mem. */
  object({
    at: AT,
    do: is("poke"),
    ...AREA,
    page: optional(integer(0, 2 ** 35)),
    value: optional(integer(0, 255)),
  }),
  /** process_madvise(2). */
  object({ at: AT, do: is("pageout"), ...AREA }),
  object({ at: AT, do: is("cold"), ...AREA }),
  /** Another one of the same target, to its end. */
  object({ at: AT, do: is("checkpoint") }),
  /** Of a mapped file. */
  object({ at: AT, do: is("unlink"), file: FILE_NAME }),
  object({ at: AT, do: is("rename"), file: FILE_NAME, to: FILE_NAME }),
  /** Of an area from its userfaultfd, by another process. */
  object({ at: AT, do: is("unregister"), ...AREA }),
] as const;

/** Who calls checkpoint(2) and with what. What is not said is root's plain call for the target. */
export type CallSpec = v.InferOutput<typeof CALL>;

/** Where the image goes to; `none` is a descriptor that is not open, a socket a stream of a UNIX pair. */
export type OutputSpec = Merged<v.InferOutput<(typeof OUTPUTS)[number]>>;

/** Of what kind a descriptor is. */
type OutputKind = OutputSpec["kind"];

/** Something that happens while the call is blocked in a write. */
export type ActionSpec = Merged<v.InferOutput<(typeof ACTIONS)[number]>>;

/** What happens, in a word. */
export type ActionKind = ActionSpec["do"];

/** The keys of a stop that say how the call is made. */
export const CALL_FIELDS = {
  call: optional(CALL, "Who calls, with what."),
  to: optional(variant<OutputSpec>("kind", OUTPUTS), "Where to."),
  whileBlocked: optional(
    v.pipe(
      list(variant<ActionSpec>("do", ACTIONS), 1),
      v.check(
        (actions) => actions.every(({ at }, index) => index === 0 || actions[index - 1]!.at <= at),
        `actions whose "at" does not go down`,
      ),
    ),
    "What happens while the call waits for its reader, in the order of the places in the image.",
  ),
};

/** The keys of a stop that say how the call is made. */
export type CallFields = v.InferOutput<v.StrictObjectSchema<typeof CALL_FIELDS, undefined>>;

/** A stop makes more than the plain call. */
export function hasCallFields({ call, to, whileBlocked }: CallFields): boolean {
  return [call, to, whileBlocked].some((field) => field !== undefined);
}
