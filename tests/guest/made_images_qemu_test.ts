// SPDX-License-Identifier: MIT
/** Images that no kernel wrote: the encoder makes small programs, and they run and exit as their code says. */
import { assert, assertEquals, assertGreater } from "@std/assert";
import { scenarioRunner } from "../../harness/run/case/scenario_runner.ts";
import { compileCatalogue, readCatalogue } from "../../harness/run/catalogue.ts";
import type { Guest } from "../../harness/run/guest/guest.ts";
import { prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { buildImage, type ImageSpec, RW_FLAGS, type VmaSpec } from "../../lib/image/build_image.ts";
import { readImage } from "../../lib/image/image.ts";
import { checkImage } from "../../lib/image/rules.ts";
import { errnoNumber } from "../../lib/abi/errno.ts";
import { vmFlagTable } from "../../lib/abi/vm_flags.ts";
import { buildPredictedImage } from "../../lib/model/predicted_image.ts";
import { restartRefusal } from "../../lib/model/restarted_prediction.ts";
import { imageOf } from "./two_readers.ts";
import { encodeDescriptor } from "../../lib/x86/descriptor.ts";

const IMAGE = "/run/ckptest/made";
const CODE = 0x10_0000n;
const STACK_TOP = 0x7fff_ffff_e000n;
/** READ EXEC MAYREAD MAYWRITE MAYEXEC, and GROWSDOWN; NORESERVE in place of ACCOUNT. */
const [RX_FLAGS, GROWSDOWN, RW_NORESERVE] = [0x75n, 0x100n, 0x20_0073n];
const MAX_MAP_COUNT = 65_530;
const DATA = { base: 0x12345678, limit: 0xfffff, type: 3, s: true, dpl: 3, p: true } as const;
const SEGMENT = encodeDescriptor({ ...DATA, avl: false, l: false, d: true, g: true });

/** `mov $nr, %eax; mov $status, %edi; syscall`, and behind it a code that faults. */
function exitCode(status: number): Uint8Array {
  const code = new Uint8Array(4096).fill(0xcc);
  code.set([0xb8, 60, 0, 0, 0, 0xbf, status, 0, 0, 0, 0x0f, 0x05]);
  return code;
}

/** exit_group() with the upper byte of the limit that LSL gives for a selector. */
function limitCode(selector: number): Uint8Array {
  const code = new Uint8Array(4096).fill(0xcc);
  code.set([0xb8, selector & 0xff, selector >> 8, 0, 0, 0x0f, 0x03, 0xf8, 0xc1, 0xef, 24]);
  code.set([0xb8, 60, 0, 0, 0, 0x0f, 0x05], 11);
  return code;
}

function program(code: Uint8Array, more: readonly VmaSpec[] = []): readonly VmaSpec[] {
  const flags = RW_FLAGS | GROWSDOWN;
  const stack = {
    start: STACK_TOP - 0x2000n,
    end: STACK_TOP,
    flags,
    pages: [[STACK_TOP - 0x1000n, new Uint8Array(4096)]],
  };
  const text = { start: CODE, end: CODE + 0x1000n, flags: RX_FLAGS, pages: [[CODE, code]] };
  return [text, ...more, stack] as const as readonly VmaSpec[];
}

const REGISTERS = { ip: CODE, sp: STACK_TOP - 0x100n, orig_ax: 0xffff_ffff_ffff_ffffn };
const FULL_LDT = new Uint8Array(8192 * 8);
for (let at = 0; at < FULL_LDT.length; at += 8) FULL_LDT.set(SEGMENT, at);

const MADE: Readonly<Record<string, { readonly spec: ImageSpec; readonly status: number }>> = {
  "one page of code, one of stack": { spec: { vmas: program(exitCode(42)) }, status: 42 },
  "an LDT of 8192 entries, each in its place": {
    spec: { vmas: program(limitCode(8191 << 3 | 7)), ldt: FULL_LDT, registers: { es: 8190n << 3n | 7n } },
    status: 0xff,
  },
  "three TLS segments, one of them in fs": {
    spec: {
      vmas: program(limitCode(14 << 3 | 3)),
      tls: new Uint8Array([...SEGMENT, ...SEGMENT, ...SEGMENT]),
      registers: { fs: 12n << 3n | 3n },
      fsgsbase: { fsbase: 0x12345678n },
    },
    status: 0xff,
  },
  "as many mappings as there may be": {
    spec: {
      vmas: program(
        exitCode(3),
        Array.from({ length: MAX_MAP_COUNT - 2 }, (_, i) => {
          const start = 0x1000_0000n + 0x2000n * BigInt(i);
          return { start, end: start + 0x1000n };
        }),
      ),
    },
    status: 3,
  },
  "120 TiB that nobody reserved": {
    spec: {
      vmas: program(exitCode(4), [{ start: 0x1000_0000n, end: 0x7800_0000_0000n, flags: RW_NORESERVE }]),
    },
    status: 4,
  },
};

Deno.test("images that no kernel wrote run, and exit as their code says", async (t) => {
  const scenario = (await readCatalogue()).find(({ name }) => name === "minimal")!;
  const [platform] = parsePlatforms({ arch: "x86_64", fallback: "x86_64" });
  const prepared = await prepareGuest(platform!, { terminal: new Terminal(), scenarios: [scenario] });
  let recorded: Uint8Array = new Uint8Array(0);
  const run = scenarioRunner(prepared, { onCheckpoint: (seen) => recorded = seen.image });
  await using guest = await prepared.startGuest();
  await run(guest, scenario);
  // The kernel and its CPU are the guest's own; all else is made.
  const { head: { fields: head }, tasks: [task] } = readImage(recorded);
  for (const [name, { spec, status }] of Object.entries(MADE)) {
    await t.step(name, async () => {
      const registers = { ...REGISTERS, ...spec.registers };
      const image = buildImage({ ...spec, head, xstate: task!.xstate!.bytes, registers });
      assertEquals(checkImage(image).filter(({ verdict }) => verdict !== "note"), []);
      assertEquals(await restartOf(guest, image), { result: 0n, code: status });
    });
  }
  await t.step("one mapping too many is refused", async () => {
    const areas = Array.from({ length: MAX_MAP_COUNT }, (_, i) => {
      const start = 0x1000_0000n + 0x2000n * BigInt(i);
      return { start, end: start + 0x1000n };
    });
    const vmas = program(exitCode(3), areas);
    const image = buildImage({ vmas, head, xstate: task!.xstate!.bytes, registers: REGISTERS });
    assertEquals(await restartOf(guest, image), { result: -12n, code: undefined });
  });
});

Deno.test("what the model predicts of a scenario runs, and ends with exit status 0", async () => {
  const catalogue = await readCatalogue();
  const [platform] = parsePlatforms({ arch: "x86_64", fallback: "x86_64" });
  const minimal = catalogue.find(({ name }) => name === "minimal")!;
  const prepared = await prepareGuest(platform!, { terminal: new Terminal(), scenarios: [minimal] });
  await using guest = await prepared.startGuest();
  const like = readImage(await imageOf(prepared, guest, minimal));
  const target = prepared.compileTarget;
  const flags = vmFlagTable("6.1", 8);
  const ends: Record<string, unknown> = {};
  let count = 0;
  const compiled = compileCatalogue(catalogue, { platform: platform!, target, self: false });
  for (const [{ name }, { stops }] of compiled) {
    const prediction = stops[0]!.prediction;
    // The code of the image is for the usual segment; files are there only while their scenario runs.
    const isOther = prediction.registers.general.has("cs") ||
      prediction.areas.some(({ path }) => path !== undefined);
    if (isOther || prediction.refusal) continue;
    count++;
    const refusal = restartRefusal(prediction, flags);
    const { result, code } = await restartOf(
      guest,
      buildPredictedImage(prediction, { target, series: "6.1", like }),
    );
    const isRight = refusal ? result === BigInt(-errnoNumber(refusal.name)) : result === 0n && code === 0;
    if (!isRight) ends[name] = refusal?.name ?? [result, code];
  }
  assertEquals(ends, {});
  assertGreater(count, 200);
});

async function restartOf(
  { agent }: Guest,
  image: Uint8Array,
): Promise<{ result: bigint; code: number | undefined }> {
  await agent.writeFile(IMAGE, image);
  const { pid, result } = await agent.restart({ image: IMAGE });
  if (result !== 0n) return { result, code: undefined };
  await agent.cont(pid);
  const { state, code, signal } = await agent.quiesce(pid, { deadlineMs: 60_000 });
  assert(state === "exited", `${state} ${signal}`);
  return { result, code };
}
