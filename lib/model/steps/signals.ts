// SPDX-License-Identifier: MIT
import * as v from "valibot";
import { LAST_SIGNAL, MINSIGSTKSZ, SA, SIG_DFL, SIG_IGN, signalBit, SIGNALS, SS } from "../../abi/signals.ts";
import { VM } from "../../abi/vm_flags.ts";
import { PAGE_SIZE } from "../../abi/arch.ts";
import { either, integer, keysOf, list, oneOf, optional, wordSet } from "../../schema.ts";
import { bytesOfHex, dataView } from "../../bytes.ts";
import { NAME } from "../fields.ts";
import { describeContent, withStore } from "../state/page_content.ts";
import { addressOf } from "../state/page_set.ts";
import { defineStep, SLOTS, type StepContext } from "./define_step.ts";
import { requireAccess } from "./pages.ts";

const FIRST_REALTIME = 32;
const MASK_BYTES = 8n;
const SIG_SETMASK = 2n;

const { SIGKILL: _KILL, SIGSTOP: _STOP, ...CATCHABLE } = SIGNALS;
const SIGNAL = either(
  "the name of a signal, or the number of one that has none",
  oneOf(keysOf(CATCHABLE)),
  integer(FIRST_REALTIME, LAST_SIGNAL),
);
/** Those that a program may set itself; of a handler, SA_SIGINFO and SA_RESTORER come with it. */
const FLAGS = ["NOCLDSTOP", "NOCLDWAIT", "ONSTACK", "RESTART", "NODEFER", "RESETHAND"] as const;

type Signal = keyof typeof CATCHABLE | number;

function numberOf(signal: Signal): number {
  return typeof signal === "number" ? signal : SIGNALS[signal];
}

function maskOf(signals: readonly Signal[]): bigint {
  return signals.reduce((mask, signal) => mask | signalBit(numberOf(signal)), 0n);
}

/** `mov $rt_sigreturn, %eax`, the call, `ret`: its last byte is a handler, which returns to its first. */
const HANDLER_CODE = { 8: "b80f0000000f05c3", 4: "b8ad000000cd80c3" } as const;
const HANDLER_OFFSET = 7n;

/** Stores a handler at the start of an area, and gives its address and that of what it returns to. */
function storeHandler(context: StepContext, name: string): { handler: bigint; restorer: bigint } {
  const { state, builder, index } = context;
  const { start } = state.range(name);
  requireAccess(context, { first: start, count: 1 }, VM.WRITE, "write");
  if (((state.space.areaAt(start)?.flags ?? 0n) & VM.EXEC) === 0n) {
    throw new RangeError(`Area "${name}" cannot be executed: its protection forbids it`);
  }
  const code = bytesOfHex(HANDLER_CODE[state.target.targetWordSize]);
  builder.emit({
    op: "poke",
    address: addressOf(start),
    size: 8,
    value: dataView(code).getBigUint64(0, true),
  });
  const content = withStore(state.space.contentAt(start), 0, code);
  state.space.setPage(start, content, `a handler, stored by step ${index + 1}: ${describeContent(content)}`);
  return { handler: addressOf(start) + HANDLER_OFFSET, restorer: addressOf(start) };
}

/** Numbers one behind the other as words of the target. */
function words(wordSize: 4 | 8, ...values: readonly bigint[]): Uint8Array {
  return new Uint8Array(
    wordSize === 8 ? BigUint64Array.from(values).buffer : Uint32Array.from(values, Number).buffer,
  );
}

/** The steps of this family. */
export const SIGNAL_STEPS = [
  defineStep({
    op: "sigaction",
    about:
      "sigaction(2): what a signal does from then on. A handler is code at the start of an area, which does " +
      "nothing and returns.",
    fields: {
      signal: SIGNAL,
      does: oneOf(["default", "ignored", "handler"]),
      area: optional(NAME, "Of a handler alone: where it lies, writable and executable."),
      flags: optional(wordSet(FLAGS), "SA_... of those names."),
      blocks: optional(list(SIGNAL, 1), "What is blocked in a handler besides."),
      restorer: optional(
        NAME,
        "Where there is no handler: an area that one would return to, without SA_RESTORER.",
      ),
    },
    apply({ signal, does, area, flags = [], blocks = [], restorer }, context) {
      const { state, builder } = context;
      const { kernelWordSize, targetWordSize } = state.target;
      if ((does === "handler") !== (area !== undefined)) {
        throw new SyntaxError("area goes with a handler alone");
      }
      if (area !== undefined && restorer !== undefined) {
        throw new SyntaxError("a handler has its own restorer");
      }
      const restorerAddress = restorer === undefined ? 0n : addressOf(state.range(restorer).start);
      const code = area === undefined
        ? { handler: does === "ignored" ? SIG_IGN : SIG_DFL, restorer: restorerAddress }
        : storeHandler(context, area);
      const said = flags.reduce(
        (all, flag) => all | SA[flag],
        area === undefined ? 0n : SA.SIGINFO | SA.RESTORER,
      );
      const mask = maskOf(blocks);
      const action = words(targetWordSize, code.handler, said, code.restorer);
      const bytes = new Uint8Array([...action, ...words(8, mask)]);
      builder.succeed("rt_sigaction", [BigInt(numberOf(signal)), builder.scratch(0, bytes), 0n, MASK_BYTES]);
      // sigaction_compat_abi (arch/x86/kernel/signal_32.c): which kind of program asked.
      const abi = kernelWordSize === targetWordSize ? 0n : SA.IA32_ABI;
      state.signals.set(numberOf(signal), { ...code, flags: said | abi, mask });
    },
  }),
  defineStep({
    op: "sigprocmask",
    about: "sigprocmask(2): these signals are blocked, and no others.",
    fields: { blocked: list(SIGNAL) },
    apply({ blocked }, { state, builder }) {
      const mask = maskOf(blocked);
      if ((state.signals.pending & ~mask) !== 0n) throw new RangeError("a signal that waits would come now");
      builder.succeed("rt_sigprocmask", [SIG_SETMASK, builder.scratch(0, words(8, mask)), 0n, MASK_BYTES]);
      state.signals.blocked = mask;
    },
  }),
  defineStep({
    op: "sigaltstack",
    about: "sigaltstack(2): an area is the stack for handlers with ONSTACK; without one there is none.",
    fields: {
      area: optional(NAME),
      bytes: optional(
        integer(Number(MINSIGSTKSZ), 2 ** 20),
        "Of the area, which is the whole stack without.",
      ),
      autodisarm: optional(v.literal(true, "true")),
    },
    apply({ area, bytes: part, autodisarm }, { state, builder }) {
      const { start, pages } = area === undefined ? { start: 0, pages: 0 } : state.range(area);
      if (part !== undefined && part > pages * PAGE_SIZE) {
        throw new RangeError("the area has not so many bytes");
      }
      const flags = (area === undefined ? SS.DISABLE : 0) + (autodisarm ? SS.AUTODISARM : 0);
      const [sp, size] = [addressOf(start), BigInt(part ?? pages * PAGE_SIZE)];
      // The flags are an int: as a word they take its place and that of the padding behind it.
      const bytes = words(state.target.targetWordSize, sp, BigInt(flags), size);
      builder.succeed("sigaltstack", [builder.scratch(0, bytes), 0n]);
      state.signals.stack = { sp, size, flags };
    },
    since: ({ autodisarm }) => autodisarm ? [{ release: "4.7", what: "with SS_AUTODISARM" }] : [],
  }),
  defineStep({
    op: "raise",
    about: "kill(2) of itself, with a signal that is blocked, ignored or has a handler.",
    fields: { signal: SIGNAL },
    apply({ signal }, { state, builder }) {
      const number = numberOf(signal);
      if (!state.signals.isHarmless(number)) throw new RangeError("the signal would end or stop the target");
      builder.emitWithResult({ op: "getpid", keep: SLOTS.pid }, "getpid()", undefined, { role: "pid" });
      builder.succeed("kill", [{ slot: SLOTS.pid }, BigInt(number)]);
      state.signals.deliver(number);
    },
  }),
] as const;
