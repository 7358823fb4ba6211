// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { ERRNO } from "../../abi/errno.ts";
import { either, integer, text } from "../../schema.ts";
import { nameBytes } from "../state/file_model.ts";

/** Pages of the largest user address space. */
const MAX_PAGES = 2 ** 35;
const MAX_NAME_BYTES = 255;

const COUNT = String.raw`(?:\d+|\d*chunk)(?:[+-](?:\d+|\d*chunk))*`;
const RUN = String.raw`${COUNT}(?:\.\.${COUNT})?(?:/${COUNT})?`;

/** See `PageCount` of state/page_set.ts. */
export const PAGE_COUNT = either(
  `a page count such as 12 or "chunk+1"`,
  integer(0, MAX_PAGES),
  text(new RegExp(`^${COUNT}$`), `a page count such as 12 or "chunk+1"`),
);

/** See `PageSet` of state/page_set.ts. */
export const PAGE_SET = either(
  `a page set such as 3, "0-2,7" or "all"`,
  integer(0, MAX_PAGES),
  text(new RegExp(`^(?:all|${RUN}(?:,${RUN})*)$`), `a page set such as 3, "0-2,7" or "all"`),
);

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

/** Signals that may end the caller of checkpoint(2). */
const FATAL_SIGNALS = ["SIGKILL", "SIGPIPE", "SIGTERM", "SIGUSR1", "SIGXFSZ"];

/** How a checkpoint ends. */
export const OUTCOME = v.picklist(
  ["ok", ...ERRNOS, ...FATAL_SIGNALS],
  `"ok", the name of an errno, or one of ${FATAL_SIGNALS.join(", ")}`,
);
