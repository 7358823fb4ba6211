// SPDX-License-Identifier: MIT

/** Who calls checkpoint(2) and with what. What is not said is root's plain call for the target. */
export interface CallWords {
  /** User id of the caller; its only one. */
  readonly uid?: number;
  /** Group id of the caller; its only one. */
  readonly gid?: number;
  /** The third argument. */
  readonly flags?: number;
  /** Whose process: the target's, kthreadd's, the agent's, nobody's, a thread's of the target, or a number. */
  readonly pid?: "target" | "kthread" | "init" | "none" | "thread" | number;
  /** How often the same caller calls, one time after the other; a leak shows in hundreds. */
  readonly times?: number;
  /** What SIGPIPE and SIGXFSZ do to the caller. */
  readonly signals?: "ignored" | "fatal";
  /**
   * Microseconds from one SIGALRM for the caller to the next. It has a handler, which restarts system calls; the
   * first of these signals must come before the end of the image.
   */
  readonly alarm?: number;
}

/** Of what kind a descriptor is. */
export type OutputKind =
  | "pipe"
  | "file"
  | "socket"
  | "memfd"
  | "epoll"
  | "eventfd"
  | "signalfd"
  | "none";

/** Where the image goes to. */
export interface OutputWords {
  /** Of what kind the descriptor is; `none` is one that is not open. A socket is a stream of a UNIX pair. */
  readonly kind: OutputKind;
  /** Bytes that fit into a pipe or are asked for as a socket's buffer. */
  readonly size?: number;
  /** Flags of open(2) or, for a pipe, O_NONBLOCK of the end that is written to; O_WRONLY by default. */
  readonly flags?: readonly string[];
  /** The file, which is made unless its directory is one of the system. */
  readonly path?: string;
  /** File position before the call. */
  readonly position?: number;
  /** Bytes in the file before the call. */
  readonly holds?: number;
  /** RLIMIT_FSIZE of the caller. */
  readonly limit?: number;
  /** Bytes of the tmpfs, a whole number of pages, that is mounted for the file. */
  readonly space?: number;
  /** What is mounted for the file: a directory of the host. */
  readonly mount?: "9p";
  /** The reader goes away after so many bytes; 0: there was never one. */
  readonly closes?: number;
  /** Seals of a memfd. */
  readonly seals?: readonly string[];
}

/** What happens, in a word. */
export type ActionKind =
  | "nothing"
  | "kill"
  | "cont"
  | "signal"
  | "poke"
  | "pageout"
  | "cold"
  | "checkpoint"
  | "unlink"
  | "rename"
  | "unregister";

/** Something that happens while the call is blocked in a write. */
export interface ActionWords {
  /** Bytes of the image that have been read when it happens. */
  readonly at: number;
  /**
   * kill, cont: SIGKILL, SIGCONT for the target; signal: one for the caller; poke: a byte written through
   * /proc/PID/mem; pageout, cold: process_madvise(2); checkpoint: another one of the same target, to its end;
   * unlink, rename: of a mapped file; unregister: of an area from its userfaultfd, by another process.
   */
  readonly do: ActionKind;
  /** For signal: its name. */
  readonly signal?: "SIGKILL" | "SIGTERM" | "SIGUSR1";
  /** For signal: whether the caller has a handler, which restarts system calls. */
  readonly handled?: boolean;
  /** For poke, pageout, cold, unregister. */
  readonly area?: string;
  /** For poke: the page in the area. */
  readonly page?: number;
  /** For poke: the byte. */
  readonly value?: number;
  /** For unlink and rename. */
  readonly file?: string;
  /** For rename. */
  readonly to?: string;
}

/** The fields of a stop that say how the call is made. */
export interface CallFields {
  /** Who calls, with what. */
  readonly call?: CallWords;
  /** Where to. */
  readonly to?: OutputWords;
  /** What happens meanwhile, in the order of the places in the image. */
  readonly during?: readonly ActionWords[];
}

type Kind = "number" | "string" | "strings" | "boolean" | "value";
type Table = Readonly<Record<string, Kind | readonly string[]>>;

const OUTPUT_KINDS: readonly OutputKind[] = [
  "pipe",
  "file",
  "socket",
  "memfd",
  "epoll",
  "eventfd",
  "signalfd",
  "none",
];

const ACTIONS: readonly ActionKind[] = [
  "nothing",
  "kill",
  "cont",
  "signal",
  "poke",
  "pageout",
  "cold",
  "checkpoint",
  "unlink",
  "rename",
  "unregister",
];

const CALL: Table = {
  uid: "number",
  gid: "number",
  flags: "number",
  pid: "value",
  times: "number",
  signals: ["ignored", "fatal"],
  alarm: "number",
};
const OUTPUT: Table = {
  kind: OUTPUT_KINDS,
  size: "number",
  flags: "strings",
  path: "string",
  position: "number",
  holds: "number",
  limit: "number",
  space: "number",
  mount: ["9p"],
  closes: "number",
  seals: "strings",
};
const ACTION: Table = {
  at: "number",
  do: ACTIONS,
  signal: ["SIGKILL", "SIGTERM", "SIGUSR1"],
  handled: "boolean",
  area: "string",
  page: "number",
  value: "number",
  file: "string",
  to: "string",
};

/** A stop makes more than the plain call. */
export function hasCallFields({ call, to, during }: CallFields): boolean {
  return call !== undefined || to !== undefined || during !== undefined;
}

/** Told of a field that is not what it must be. */
export type FailField = (field: string, expected: string, found: unknown) => never;

/** Checks the words of a stop about its call, field by field. */
export function checkCallFields(
  { call, to, during }: Readonly<Record<string, unknown>>,
  fail: FailField,
): void {
  if (call !== undefined) checkTable(`"call"`, call, CALL, fail);
  if (to !== undefined) checkOutput(to as OutputWords, fail);
  if (during === undefined) return;
  let last = 0;
  for (const [index, action] of (during as ActionWords[]).entries()) {
    const where = `"during" ${index + 1}`;
    checkTable(where, action, ACTION, fail);
    if (action.at === undefined || action.at < last) {
      fail(`${where}: "at"`, "a number of bytes, in ascending order", action.at);
    }
    if (action.do === undefined) fail(`${where}: "do"`, `one of ${ACTIONS.join(", ")}`, undefined);
    last = action.at;
  }
}

function checkOutput(to: OutputWords, fail: FailField): void {
  checkTable(`"to"`, to, OUTPUT, fail);
  if (to.kind === undefined) fail(`"to": "kind"`, `one of ${OUTPUT_KINDS.join(", ")}`, undefined);
  if ((to.kind === "file") !== (to.path !== undefined)) {
    fail(`"to": "path"`, "there for a file, and for nothing else", to.path);
  }
}

function checkTable(where: string, value: unknown, table: Table, fail: FailField): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return fail(where, "an object", value);
  }
  for (const [key, found] of Object.entries(value)) {
    const kind = Object.hasOwn(table, key) ? table[key] : undefined;
    if (kind === undefined) {
      fail(`${where}: field "${key}"`, `one of ${Object.keys(table).join(", ")}`, found);
    } else if (!hasKind(found, kind)) {
      fail(
        `${where}: "${key}"`,
        typeof kind === "string" ? KIND_WORDS[kind] : `one of ${kind.join(", ")}`,
        found,
      );
    }
  }
}

const KIND_WORDS: Readonly<Record<Kind, string>> = {
  number: "a number",
  string: "a string",
  strings: "a list of strings",
  boolean: "true or false",
  value: "a number or a word",
};

function hasKind(found: unknown, kind: Kind | readonly string[]): boolean {
  if (typeof kind !== "string") return typeof found === "string" && kind.includes(found);
  if (kind === "strings") return Array.isArray(found) && found.every((item) => typeof item === "string");
  if (kind === "value") return typeof found === "number" || typeof found === "string";
  return typeof found === kind && (kind !== "number" || Number.isSafeInteger(found));
}
