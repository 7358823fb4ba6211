// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { ERRNO } from "../abi/errno.ts";
import { described, either, integer, numberOrText, object, oneOf, optional, text } from "../schema.ts";
import { nameBytes } from "./state/file_model.ts";
import { MAX_PAGES } from "./state/page_set.ts";

const MAX_NAME_BYTES = 255;

const COUNT = String.raw`(?:\d+|\d*chunk)(?:[+-](?:\d+|\d*chunk))*`;
const RUN = String.raw`${COUNT}(?:\.\.${COUNT})?(?:/${COUNT})?`;

/** See `PageCount` of state/page_set.ts. */
export const PAGE_COUNT = numberOrText({
  least: 0,
  most: MAX_PAGES,
  pattern: COUNT,
  expected: `a page count such as 12 or "chunk+1"`,
});

/** See `PageSet` of state/page_set.ts. */
export const PAGE_SET = numberOrText({
  least: 0,
  most: MAX_PAGES,
  pattern: `all|${RUN}(?:,${RUN})*`,
  expected: `a page set such as 3, "0-2,7" or "all"`,
});

/** The name of an area or a stop, which files are named after. */
export const NAME = text(
  /^[A-Za-z0-9](?:[\w .-]{0,98}[\w])?$/,
  "a plain name: letters, digits and, within it, spaces and _ . -",
);

/** A name in a directory; see `nameBytes`. */
export const FILE_NAME = v.pipe(
  text(/^(?!\.{1,2}$)(?:(?!%2[fF]|%00)[^/\0])+$/, "a plain file name"),
  v.check(
    (name) => nameBytes(name).length <= MAX_NAME_BYTES,
    `a file name of at most ${MAX_NAME_BYTES} bytes`,
  ),
);

/** A path from the root that does not go up again. */
export const ABSOLUTE_PATH = text(/^(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)+$/, "an absolute path without . and ..");

/** A user or group id; the highest one means "leave it" to the system calls. */
export const ID = integer(0, 0xffff_fffe);

/** Whole bytes or flags of 32 bits. */
export const WORD = integer(0, 0xffff_ffff);

/** From which the contents of pages follow. */
export const SEED = WORD;

/** A number that JSON keeps as it is. */
export const NUMBER = integer(Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);

// The kernel's own ones from 512 up never reach a program.
const ERRNOS = Object.entries(ERRNO).filter(([, number]) => number < 512).map(([name]) => name);

/** The name of an errno. */
export const ERRNO_NAME = v.picklist(ERRNOS, `the name of an errno, such as "EINVAL"`);

const FATAL_SIGNALS = ["SIGKILL", "SIGPIPE", "SIGTERM", "SIGUSR1", "SIGXFSZ"];

/** How a checkpoint ends. */
export const OUTCOME = v.picklist(
  ["ok", ...ERRNOS, ...FATAL_SIGNALS],
  `"ok", the name of an errno, or one of ${FATAL_SIGNALS.join(", ")}`,
);

/** A file of the guest whose text must be as said. */
export const WAIT_CONDITION = v.pipe(
  object({
    file: text(/^\/[^\0]+$/, "an absolute path; {pid} in it is the target's pid"),
    matching: optional(regularExpression(), "What the text must match."),
    notMatching: optional(regularExpression(), "What it must not match."),
  }),
  v.check(
    ({ matching, notMatching }) => matching !== undefined || notMatching !== undefined,
    `"matching", "notMatching" or both`,
  ),
);

/** What the harness waits for before it looks at the stopped target: a file of the guest with a certain text. */
export type WaitCondition = v.InferOutput<typeof WAIT_CONDITION>;

function regularExpression(): v.GenericSchema<string> {
  return v.pipe(v.string("a regular expression"), v.check(isRegularExpression, "a regular expression"));
}

function isRegularExpression(pattern: string): boolean {
  try {
    return new RegExp(pattern, "m").source.length > 0;
  } catch {
    return false;
  }
}

const SETUP_WORDS =
  `{"write": PATH, "value": TEXT}, {"swap": "ram"}, {"swap": "loop"}, {"mount": "ext2"} or {"uid": N, "gid": N}`;
/** What the agent does as root before the target starts, and undoes after it ended. */
export const SETUP_STEP = either(
  SETUP_WORDS,
  object({
    write: text(
      /^\/(?:sys|proc)(?:\/(?!\.{1,2}(?:\/|$))[^/\0]+)+$/,
      "a file of /sys or /proc without . and .. in its path",
    ),
    value: described(
      "{entry} in it is where the target's program starts.",
      v.string("the text that is written"),
    ),
  }),
  object({ swap: oneOf(["ram", "loop"]) }),
  object({ mount: described("An empty file system on the working directory.", oneOf(["ext2"])) }),
  object({ uid: ID, gid: ID }),
);

/** What the agent does as root before the target starts. */
export type SetupStep = v.InferOutput<typeof SETUP_STEP>;
