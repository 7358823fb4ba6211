// SPDX-License-Identifier: MIT

import { keysOf, oneOf, optional, wordSet } from "../../schema.ts";
import { NAME } from "../fields.ts";
import { flagBits } from "../state/vm_flag_rules.ts";
import { addressOf, addressRange } from "../state/page_set.ts";
import { DEFAULT_SERIES } from "../../abi/series.ts";
import { vmFlagTable } from "../../abi/vm_flags.ts";
import { AREA_PAGES, definePagesStep, defineStep, sinceWords, type StepContext } from "./define_step.ts";

// include/uapi/linux/userfaultfd.h: _IOWR(0xAA, ...) of structs of u64.
const UFFDIO_API = 0xc018aa3fn;
const UFFDIO_REGISTER = 0xc020aa00n;
const UFFDIO_COPY = 0xc028aa03n;
const UFFDIO_WRITEPROTECT = 0xc018aa06n;
const UFFDIO_POISON = 0xc020aa08n;
const API_VERSION = 0xaan;
/** UFFD_FEATURE_...: a mark for each hole that is write-protected, in anonymous memory too (Linux 6.4). */
const FEATURES = { wp_unpopulated: 1 << 13 } as const;
const REGISTER_MODE = { missing: 1n, wp: 2n, minor: 4n } as const;
const FLAG_NAMES = { missing: "UFFD_MISSING", wp: "UFFD_WP", minor: "UFFD_MINOR" } as const;
const SINCE = { missing: "4.3", wp: "5.7", minor: "5.14" } as const;
const WRITEPROTECT_MODE_WP = 1n;
const O_CLOEXEC = 0o2000000n;
const UFFD_SLOT = 5;

function control({ builder }: StepContext, request: bigint, words: readonly bigint[]): void {
  const argument = builder.scratch(0, new Uint8Array(BigUint64Array.from(words).buffer));
  builder.succeed("ioctl", [{ slot: UFFD_SLOT }, request, argument]);
}

/** The steps of this family. */
export const UFFD_STEPS = [
  defineStep({
    op: "uffd",
    about: "Registers pages with a new userfaultfd. Nobody reads it: a fault there would hang.",
    fields: {
      ...AREA_PAGES,
      mode: oneOf(keysOf(REGISTER_MODE)),
      features: optional(wordSet(keysOf(FEATURES)), "Features that it is asked for."),
    },
    apply(step, context) {
      const { state, builder } = context;
      const mode = REGISTER_MODE[step.mode];
      builder.syscall("userfaultfd", [O_CLOEXEC], { keep: UFFD_SLOT });
      control(context, UFFDIO_API, [API_VERSION, BigInt(flagBits(step.features ?? [], FEATURES)), 0n]);
      const { series = DEFAULT_SERIES, kernelWordSize } = state.target;
      const add = vmFlagTable(series, kernelWordSize).bits[FLAG_NAMES[step.mode]] ?? 0n;
      for (const run of state.runs(step.area, step.pages)) {
        control(context, UFFDIO_REGISTER, [...addressRange(run), mode, 0n]);
        state.space.change(run.first, run.end, (area) => ({ ...area, flags: area.flags | add }));
      }
    },
    since: ({ mode, features }) => [
      { release: SINCE[mode], what: mode },
      ...sinceWords({ wp_unpopulated: "6.4" }, features),
    ],
  }),
  defineStep({
    op: "uffd_place",
    about: "UFFDIO_COPY: pages come into being with the contents of the first pages of another area.",
    fields: { ...AREA_PAGES, from: NAME },
    apply(step, context) {
      const { state, index } = context;
      let source = state.range(step.from).start;
      for (const { first, count } of state.runs(step.area, step.pages)) {
        control(context, UFFDIO_COPY, [...[first, source, count].map(addressOf), 0n, 0n]);
        for (let i = 0; i < count; i++) {
          const content = state.space.contentAt(source + i);
          state.space.setPage(first + i, content, `placed by UFFDIO_COPY in step ${index + 1}`);
        }
        source += count;
      }
    },
  }),
  definePagesStep({
    op: "uffd_protect",
    about: "UFFDIO_WRITEPROTECT: pages that are there stay as they are, others have a mark at most.",
    apply(run, _step, context) {
      control(context, UFFDIO_WRITEPROTECT, [...addressRange(run), WRITEPROTECT_MODE_WP]);
    },
  }),
  definePagesStep({
    op: "uffd_poison",
    about: "UFFDIO_POISON: pages that were not there cannot be read from then on.",
    apply(run, _step, context) {
      control(context, UFFDIO_POISON, [...addressRange(run), 0n, 0n]);
      context.state.space.poison(run.first, run.end);
    },
    since: () => [{ release: "6.6", what: "by UFFDIO_POISON" }],
  }),
] as const;
