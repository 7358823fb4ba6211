// SPDX-License-Identifier: MIT
import { FIRST_PORT_REVISION } from "../dialect.ts";
import { TAIL_MAGIC } from "../structs.ts";
import type { RecordNodeOf } from "../nodes.ts";
import { displayText, rawText } from "../struct_codec.ts";
import { hex, type RuleContext } from "./rule_context.ts";

/** `ctx->flags` of every image: CR_CTX_CKPT. */
const HEAD_FLAGS = 1n;
const FXSAVE_SIZE = 512;
const XSAVE_MIN_SIZE = 576;
/** sizeof(struct i387_fsave_struct), and the kernel's software FPU. */
const SOFT_STATE_SIZES = [108, 112, 136];

/** HEAD: version, flags, strings. */
export function checkHead(node: RecordNodeOf<"HEAD">, context: RuleContext): void {
  const { fields } = node;
  checkVersion(node, context);
  context.expectField("E_HEAD_FLAGS", node, "flags", fields.flags, HEAD_FLAGS);
  for (const name of ["release", "version", "machine"] as const) checkText(node, name, context);
}

function checkVersion(node: RecordNodeOf<"HEAD">, context: RuleContext): void {
  const { major, minor, patch, rev, release } = node.fields;
  const version = `${major}.${minor}.${patch}`;
  if (context.isPort && rev !== FIRST_PORT_REVISION) {
    const values = { expected: String(FIRST_PORT_REVISION), actual: String(rev) };
    context.reportField("E_VERSION", node, "rev", { message: "not the revision that is known", ...values });
  }
  if (!context.isPort && rev > 3) {
    context.reportField("E_VERSION", node, "rev", {
      message: "not v11's",
      expected: "1 to 3",
      actual: String(rev),
    });
  }
  if (context.flags === undefined || (!context.isPort && context.flags.series !== "2.6.28")) {
    context.reportField("E_VERSION", node, "major", {
      message: "no vm_flags table for this kernel: memory is judged in part only",
      expected: context.isPort ? "5.10, 6.1 or 6.12" : "2.6.28",
      actual: version,
    });
  }
  const text = rawText(release);
  const [, first, second, third = "0"] = /^(\d+)\.(\d+)(?:\.(\d+))?/.exec(text) ?? [];
  // LINUX_VERSION_CODE holds at most 255 for the third number; distributions name theirs "6.1.0-30-amd64".
  const sameThird = third === "0" || patch === Math.min(Number(third), 255);
  if (Number(first) === major && Number(second) === minor && sameThird) return;
  context.reportField("E_VERSION", node, "release", {
    message: "release and version numbers contradict each other",
    expected: version,
    actual: JSON.stringify(displayText(release)),
  });
}

function checkText(
  node: RecordNodeOf<"HEAD">,
  name: "release" | "version" | "machine",
  context: RuleContext,
): void {
  const bytes = node.fields[name];
  const end = bytes.indexOf(0);
  if (end < 0) context.reportField("N_HEAD_NO_NUL", node, name, { message: `${name} fills its 64 bytes` });
  const length = end < 0 ? bytes.length : end;
  const bad = bytes.findIndex((byte, i) => i < length ? byte < 0x20 || byte > 0x7e : byte !== 0);
  if (bad < 0 && length > 0) return;
  context.reportField("E_HEAD_TEXT", node, name, {
    message: bad >= length ? "bytes after the NUL" : "not a printable string",
    expected: bad >= length ? "0x0" : "printable ASCII",
    actual: bad < 0 ? "nothing" : hex(bytes[bad] ?? 0),
    at: Math.max(bad, 0),
  });
}

/** HEAD_ARCH: the FPU's flags and size. */
export function checkHeadArch(node: RecordNodeOf<"HEAD_ARCH">, context: RuleContext): void {
  const { has_fxsr, has_xsave, xstate_size } = node.fields;
  for (const [name, value] of [["has_fxsr", has_fxsr], ["has_xsave", has_xsave]] as const) {
    if (value > 1) {
      context.reportField("E_ARCH_FLAGS", node, name, {
        message: "neither true nor false",
        expected: "0 or 1",
        actual: String(value),
      });
    }
  }
  const needsFxsr = context.format.wordSize === 8 || has_xsave === 1;
  if (needsFxsr && has_fxsr === 0) {
    const message = has_xsave === 1 ? "XSAVE without FXSAVE" : "x86-64 without FXSAVE";
    context.reportField("E_ARCH_FLAGS", node, "has_fxsr", { message, expected: "1", actual: "0" });
  }
  const [good, expected] = has_xsave !== 0
    ? [xstate_size >= XSAVE_MIN_SIZE && xstate_size % 8 === 0, `${XSAVE_MIN_SIZE} or more, in eights`]
    : has_fxsr !== 0
    ? [xstate_size === FXSAVE_SIZE, String(FXSAVE_SIZE)]
    : [SOFT_STATE_SIZES.includes(xstate_size), SOFT_STATE_SIZES.join(" or ")];
  if (good) return;
  const message = `wrong size for has_fxsr=${has_fxsr} has_xsave=${has_xsave}`;
  context.reportField("E_XSTATE_SIZE", node, "xstate_size", {
    message,
    expected,
    actual: String(xstate_size),
  });
}

/** TAIL: its magic. */
export function checkTail(node: RecordNodeOf<"TAIL">, context: RuleContext): void {
  if (node.fields.magic === TAIL_MAGIC) return;
  context.reportField("E_MAGIC_TAIL", node, "magic", {
    message: "wrong magic number at the end",
    expected: hex(TAIL_MAGIC),
    actual: hex(node.fields.magic),
  });
}
