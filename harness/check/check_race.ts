// SPDX-License-Identifier: MIT

import { firstDifference } from "../../lib/bytes.ts";
import { errnoName } from "../../lib/abi/errno.ts";
import type { Finding } from "../../lib/image/finding.ts";
import { type CheckpointImage, pageAt, readImage, readNodes } from "../../lib/image/image.ts";
import { encode } from "../../lib/image/image_writer.ts";
import { MalformedImageError } from "../../lib/image/malformed_image_error.ts";
import { checkNodes } from "../../lib/image/rules.ts";
import type { RaceScenario } from "../../lib/model/scenario.ts";
import { FSAVE_POINTERS, FXSAVE_FIELDS } from "../../lib/x86/xstate.ts";
import { callFinding } from "./check_reply.ts";

interface RaceCall {
  readonly result: bigint;
  readonly image: Uint8Array;
}

/** Takes the agent's answer apart. */
export function parseRaceCalls(bytes: Uint8Array): RaceCall[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const calls: RaceCall[] = [];
  const HEAD = 16;
  for (let at = 0; at < bytes.length;) {
    const end = at + HEAD + Number(view.getBigInt64(at + 8, true));
    calls.push({ result: view.getBigInt64(at, true), image: bytes.subarray(at + HEAD, end) });
    at = end;
  }
  return calls;
}

/** The calls of two that share a file: as many images one behind the other, of one length each. */
export function splitShared(
  [all]: readonly RaceCall[],
  { firstId, length, count }: { firstId: number; length: number; count: number },
): RaceCall[] {
  return Array.from({ length: count }, (_, index) => {
    const end = index === count - 1 ? undefined : (index + 1) * length;
    return { result: BigInt(firstId + index), image: all!.image.subarray(index * length, end) };
  });
}

/** How a call ended: "ok", or its errno. */
export function nameOfCall({ result }: RaceCall): string {
  return result < 0n ? errnoName(Number(-result)) : "ok";
}

/**
 * Checks that a call of a race ended as it may, and that all of its image is of one moment.
 *
 * @param reference what {@linkcode withoutStamps} makes of a whole image of the same target
 */
export function checkRaceCall(
  call: RaceCall,
  { race: { expect }, reference, previousId }: {
    readonly race: Pick<RaceScenario, "expect">;
    readonly reference: Uint8Array | undefined;
    readonly previousId: number;
  },
): Finding[] {
  const { result, image } = call;
  const name = nameOfCall(call);
  if (!expect.includes(name) || (result >= 0n && result !== BigInt(previousId + 1))) {
    const wanted = `${expect.join(" or ")}, the id ${previousId + 1}`;
    return [
      callFinding("E_RETURN", "the call must end in a way that is documented", wanted, `${name} ${result}`),
    ];
  }
  if (result >= 0n) return wholeFindings(image, reference);
  const { error } = readNodes(image);
  const isPart = image.length === 0 || error?.finding.id === "E_TRUNCATED";
  const message = "a call that fails leaves nothing, or the beginning of an image";
  return isPart
    ? []
    : [callFinding("E_NOT_TRUNCATED", message, "E_TRUNCATED", error?.message ?? "a whole image")];
}

function wholeFindings(bytes: Uint8Array, reference: Uint8Array | undefined): Finding[] {
  try {
    const image = readImage(bytes);
    const { memory, register, fpu } = stampsOf(image);
    if (memory !== register || memory !== fpu) {
      const message = "memory, registers and FPU of an image are of one moment";
      const actual = `bx or si ${register}, st0 ${fpu}`;
      return [callFinding("E_TORN", message, `${memory} in all`, actual)];
    }
    const broken = checkNodes(image.nodes, {}).filter(({ verdict }) => verdict !== "note");
    if (broken.length > 0 || !reference) return broken;
    const at = firstDifference(withoutStamps(image), reference);
    const message = "but for its stamps and the state of its task an image is the one before the race";
    return at < 0 ? [] : [callFinding("E_OTHER_IMAGE", message, "the same bytes", `another byte ${at}`)];
  } catch (error) {
    if (!(error instanceof MalformedImageError)) throw error;
    return [error.finding];
  }
}

/** Where the target of vm/guest/target/race.c has its stamps. */
function placesOf({ tasks: [task], headArch }: CheckpointImage) {
  const { cpu, xstate } = task!;
  const isWide = cpu.fields.cs === 0x33n;
  const page = pageAt(task!, isWide ? cpu.fields.bp : cpu.fields.di);
  const stamp = Number((isWide ? cpu.fields.bp : cpu.fields.di) & 0xfffn);
  const isFsave = headArch.fields.has_fxsr === 0;
  const st = isFsave ? FSAVE_POINTERS.end : FXSAVE_FIELDS.st.offset;
  return {
    ...{ isWide, cpu },
    memory: page?.bytes.subarray(stamp, stamp + 8) ?? new Uint8Array(8),
    fpu: xstate?.bytes.subarray(st, st + 10) ?? new Uint8Array(10),
    pointers: isFsave ? xstate?.bytes.subarray(FSAVE_POINTERS.start, FSAVE_POINTERS.end) : undefined,
  };
}

/** The lower 32 bits of each stamp, and all of them where a register has so many. */
function stampsOf(image: CheckpointImage): { memory: bigint; register: bigint; fpu: bigint } {
  const { isWide, cpu, memory, fpu } = placesOf(image);
  const cut = (value: bigint) => isWide ? value : BigInt.asUintN(32, value);
  const view = new DataView(fpu.buffer, fpu.byteOffset, fpu.length);
  const shift = 16383 + 63 - (view.getUint16(8, true) & 0x7fff);
  return {
    memory: cut(new DataView(memory.buffer, memory.byteOffset, 8).getBigUint64(0, true)),
    register: isWide ? cpu.fields.bx : cpu.fields.si,
    fpu: shift < 0 || shift > 63 ? -1n : cut(view.getBigUint64(0, true) >> BigInt(shift)),
  };
}

/** The bytes of an image with zeros for what may differ from one call to the next. */
export function withoutStamps(image: CheckpointImage): Uint8Array {
  const again = readImage(encode(image));
  const { isWide, cpu, memory, fpu, pointers } = placesOf(again);
  const [task] = again.tasks;
  memory.fill(0);
  pointers?.fill(0);
  fpu.fill(0);
  Object.assign(cpu.fields, isWide ? { bx: 0n } : { si: 0n });
  Object.assign(again.head.fields, { time: 0n });
  Object.assign(task!.task.fields, { state: 0, exit_code: 0 });
  return encode(again);
}

/** A race in which nobody met anybody shows nothing. */
export function missingOutcomes({ expect }: RaceScenario, outcomes: ReadonlySet<string>): Finding[] {
  const message = "each of these must come once";
  const actual = [...outcomes].join(", ");
  return expect.every((name) => outcomes.has(name))
    ? []
    : [callFinding("E_NO_RACE", message, expect.join(", "), actual)];
}
