// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertNotEquals } from "@std/assert";
import { blockHash } from "../../lib/abi/block_hash.ts";
import type { OpArgument, TargetOp } from "../../lib/model/target_op.ts";
import { loadAccessRights, loadSegmentLimit, segmentLoadFault } from "../../lib/x86/descriptor.ts";
import { LdtModel, type LdtModelOptions } from "../../lib/x86/ldt_model.ts";
import { describeCall, type LdtCall } from "./ldt_program.ts";
import { ldtFuzzReport } from "./fuzz_report.ts";
import { InterruptedError } from "../../vm/host/errors.ts";
import {
  drawSequence,
  type LdtAnswer,
  type LdtFuzzOptions,
  type LdtFuzzResult,
  runLdtFuzz,
} from "./run_ldt_fuzz.ts";

const NATIVE: LdtModelOptions = { dialect: "port", wordSize: 8 };
const REGISTERS = ["es", "ss", "ds", "fs", "gs"] as const;

/** Plays guest and kernel: carries out the ops on a model of its own. `dies`: at that call of modify_ldt. */
class ScriptedKernel {
  readonly #results: bigint[] = [];
  readonly #options: LdtModelOptions;
  #scratch = new Uint8Array(256 * 1024);
  #ldt: LdtModel;

  constructor(options: LdtModelOptions) {
    this.#options = options;
    this.#ldt = new LdtModel(options);
  }

  run(ops: readonly TargetOp[], dies?: (func: bigint) => boolean): LdtAnswer {
    let dead = false;
    for (const op of ops) {
      if (op.op === "syscall" && dies?.(op.args[0] as bigint)) dead = true;
      if (op.op === "join") dead = false;
      if (!dead) this.#one(op);
    }
    return { results: new Uint8Array(BigInt64Array.from(this.#results).buffer) };
  }

  #one(op: TargetOp): void {
    switch (op.op) {
      case "data":
        return this.#scratch.set(op.bytes, op.offset);
      case "fork":
        if (op.mode === "run") {
          this.#ldt = new LdtModel(this.#options);
          this.#scratch.fill(0);
        }
        return void this.#results.push(77n);
      case "exec":
        this.#ldt = this.#ldt.exec();
        this.#scratch.fill(0);
        return void this.#results.push(0n);
      case "syscall": {
        const [func, pointer, bytecount] = op.args as [bigint, OpArgument, bigint];
        const at = typeof pointer === "object" && "scratch" in pointer ? pointer.scratch : undefined;
        const memory = at === undefined ? "fault" : this.#scratch.subarray(at);
        const { result, data } = this.#ldt.modifyLdt(func, memory, bytecount);
        if (at !== undefined && data) this.#scratch.set(data, at);
        return void this.#results.push(result);
      }
      case "hash": {
        const at = (op.address as { scratch: number }).scratch;
        const hash = blockHash(this.#scratch.subarray(at, at + op.length));
        return void this.#results.push(BigInt.asUintN(63, hash));
      }
      case "segload":
        return void this.#results.push(this.#load(op.selector, REGISTERS[op.register]!));
      case "lar":
      case "lsl":
        return void this.#results.push(BigInt(this.#look(op.op, op.selector) ?? -1));
    }
  }

  #load(selector: number, register: typeof REGISTERS[number]): bigint {
    const entry = this.#entry(selector);
    const use = { longMode: this.#options.wordSize === 8, rpl: selector & 3 };
    const fault = entry ? segmentLoadFault(entry, register, use) : "GP";
    return fault === undefined ? 0n : fault === "GP" ? -11n : -7n;
  }

  #look(op: "lar" | "lsl", selector: number): number | undefined {
    const entry = this.#entry(selector);
    const use = { longMode: this.#options.wordSize === 8 };
    return entry && (op === "lar" ? loadAccessRights(entry, use) : loadSegmentLimit(entry, use));
  }

  #entry(selector: number) {
    return selector >>> 3 < this.#ldt.nrEntries ? this.#ldt.entry(selector >>> 3) : undefined;
  }
}

function options(change: Partial<LdtFuzzOptions> = {}): LdtFuzzOptions {
  const model = change.model ?? NATIVE;
  const execute = (ops: readonly TargetOp[]): Promise<LdtAnswer> =>
    Promise.resolve(new ScriptedKernel(model).run(ops));
  return { seed: 5, count: 60, batch: 25, model, wordSize: 8, execute, ...change };
}

/** A model that is told of user_descs with a field changed. */
function wrong(change: (info: { limit: number; baseAddr: number }) => object): (call: LdtCall) => LdtCall {
  return (call) =>
    call.call === "modify_ldt" && typeof call.pointer !== "string"
      ? { ...call, pointer: { ...call.pointer, ...change(call.pointer) } }
      : call;
}

Deno.test("runLdtFuzz() finds nothing where model and kernel agree, with either word size", async () => {
  const native = await runLdtFuzz(options());
  assertEquals([native.failure, native.sequences, native.shrinks], [undefined, 60, 0]);
  assert(native.steps.modify_ldt > 500 && native.steps.fork > 5 && native.steps.exec > 2);
  assert(native.checks > native.steps.modify_ldt + native.steps.load);
  const model: LdtModelOptions = { dialect: "port", wordSize: 4 };
  assertEquals((await runLdtFuzz(options({ model, wordSize: 4 }))).failure, undefined);
});

Deno.test("runLdtFuzz() catches a model that loses bits of a descriptor, in a single call", async () => {
  const lost = [
    wrong(({ limit }) => ({ limit: (limit & 0xfff0ffff) >>> 0 })),
    wrong(({ baseAddr }) => ({ baseAddr: baseAddr & 0xffffff })),
  ];
  for (const tamper of lost) {
    const { failure } = await runLdtFuzz(options({ tamper }));
    assert(failure?.alone);
    assertEquals(failure.calls.length, 1, failure.calls.map(describeCall).join("\n"));
    assertEquals(failure.mismatch.step, 1);
    assertNotEquals(failure.mismatch.expected, failure.mismatch.actual);
  }
});

Deno.test("runLdtFuzz() catches a kernel that forgets the table on fork", async () => {
  const execute = (ops: readonly TargetOp[]): Promise<LdtAnswer> => {
    const forgetful = ops.map((op): TargetOp =>
      op.op === "fork" && op.mode === "child" ? { op: "fork", mode: "run", id: 9999 } : op
    );
    return Promise.resolve(new ScriptedKernel(NATIVE).run(forgetful));
  };
  const { failure } = await runLdtFuzz(options({ execute }));
  assertEquals(failure?.calls.map(({ call }) => call), ["modify_ldt", "fork"]);
});

Deno.test("runLdtFuzz() catches a process that dies within its sequence", async () => {
  const execute = (ops: readonly TargetOp[]): Promise<LdtAnswer> =>
    Promise.resolve(new ScriptedKernel(NATIVE).run(ops, (func) => func === 2n));
  const { failure } = await runLdtFuzz(options({ execute }));
  assertEquals(failure?.calls.length, 1);
  assertEquals((failure?.calls[0] as { func?: number }).func, 2);
});

Deno.test("runLdtFuzz() takes a lost guest and a kernel's complaint for failures", async () => {
  for (const results of [undefined, true]) {
    const execute = (ops: readonly TargetOp[]): Promise<LdtAnswer> => {
      const answer = new ScriptedKernel(NATIVE).run(ops);
      const bad = ops.some((op) => op.op === "syscall" && op.args[0] === 4n);
      if (!bad) return Promise.resolve(answer);
      const complaint = "kernel BUG at mm/slub.c:1";
      return Promise.resolve(results ? { ...answer, complaint } : { complaint });
    };
    const { failure } = await runLdtFuzz(options({ execute }));
    assertEquals(failure?.calls.map((call) => (call as { func?: number }).func), [4]);
    assertEquals(failure?.mismatch.actual, "kernel BUG at mm/slub.c:1");
  }
});

Deno.test("runLdtFuzz() says so when a sequence fails only among others", async () => {
  let first = true;
  const execute = (ops: readonly TargetOp[]): Promise<LdtAnswer> => {
    const answer = new ScriptedKernel(NATIVE).run(ops);
    const failing = first;
    first = false;
    return Promise.resolve(failing ? { ...answer, complaint: "BUG: soft lockup" } : answer);
  };
  const { failure } = await runLdtFuzz(options({ execute }));
  assertEquals([failure?.alone, failure?.calls.length], [false, failure?.drawn]);
});

Deno.test("ldtFuzzReport() shows the calls, what differs and how to run it again", async () => {
  const tamper = wrong(({ limit }) => ({ limit: (limit & 0xfff0ffff) >>> 0 }));
  const settings = {
    seed: 5,
    count: 60,
    skip: 0,
    ldt: true,
    tracers: false,
    restart: false,
    others: ["--ldt"],
  };
  const report = (result: LdtFuzzResult) => ldtFuzzReport(result, "i386", settings);
  const text = report(await runLdtFuzz(options({ tamper }))).join("\n");
  assert(text.startsWith("FAIL  i386: LDT sequence "), text);
  for (
    const part of [
      "modify_ldt(0x11, {entry 0",
      "expected 0x",
      "actual   0x",
      "fuzz --arch i386 --seed 5 --count 60 --ldt",
    ]
  ) {
    assert(text.includes(part), `${part} in ${text}`);
  }
  assert(report(await runLdtFuzz(options()))[0]!.startsWith("ok    i386: 60 LDT sequences"));
});

Deno.test("runLdtFuzz() that is interrupted says how far it came, and goes on from there", async () => {
  let programs = 0;
  const execute = (ops: readonly TargetOp[]): Promise<LdtAnswer> =>
    ++programs > 2
      ? Promise.reject(new InterruptedError("interrupted by SIGINT"))
      : Promise.resolve(new ScriptedKernel(NATIVE).run(ops));
  const first = await runLdtFuzz(options({ execute, batch: 10 }));
  assertEquals([first.stopped, first.sequences, first.failure], [true, 20, undefined]);
  const settings = {
    seed: 5,
    count: 60,
    skip: 0,
    ldt: true,
    tracers: false,
    restart: false,
    others: ["--ldt"],
  };
  assertEquals(ldtFuzzReport(first, "i386", settings), [
    "stopped i386: 20 LDT sequences passed, up to 20 of 60",
    "go on with: deno task ckptest fuzz --arch i386 --seed 5 --count 60 --skip 20 --ldt",
  ]);
  const rest = await runLdtFuzz(options({ skip: 20 }));
  assertEquals([rest.stopped, rest.sequences], [false, 60]);
  const whole = await runLdtFuzz(options());
  assertEquals(rest.checks + first.checks, whole.checks);
});

Deno.test("drawSequence() does not depend on how many are drawn, and differs from seed to seed", () => {
  const text = (seed: number, index: number): string => drawSequence(seed, index).map(describeCall).join();
  assertEquals(text(1, 7), text(1, 7));
  const all = new Set([text(1, 7), text(1, 8), text(2, 7), text(8, 0), text(0, 8)]);
  assertEquals(all.size, 5);
});
