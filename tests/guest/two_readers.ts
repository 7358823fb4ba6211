// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { setTimeout } from "node:timers/promises";
import { finalLeakCheck } from "../../harness/check/leaks/page_leaks.ts";
import { Terminal } from "../../harness/report/terminal.ts";
import { readCatalogue } from "../../harness/run/catalogue.ts";
import { parsePlatforms } from "../../harness/run/platform.ts";
import { parseSplats } from "../../harness/triage/parse_splats.ts";
import { abiOf, PAGE_SIZE, TLS_ENTRIES } from "../../lib/abi/arch.ts";
import { joinBytes } from "../../lib/bytes.ts";
import { DATA_DESCRIPTOR, syntheticImage } from "../../lib/image/testing/synthetic_image.ts";
import { scenarioRunner } from "../../harness/run/case/scenario_runner.ts";
import type { Guest } from "../../harness/run/guest/guest.ts";
import { type PreparedGuest, prepareGuest } from "../../harness/run/guest/prepare_guest.ts";
import { errnoName } from "../../lib/abi/errno.ts";
import type { Finding } from "../../lib/image/finding.ts";
import {
  corruptedImages,
  CUT,
  cuts,
  guestParts,
  metadataFlips,
  splices,
  type SpoiltInput,
  streams,
  type WholeInput,
} from "./reader_inputs.ts";
import { formatOfHead } from "../../lib/image/dialect.ts";
import { readNodes } from "../../lib/image/image.ts";
import { isRecord, type LdtNode, type TlsNode } from "../../lib/image/nodes.ts";
import { checkImage } from "../../lib/image/rules.ts";
import type { Scenario } from "../../lib/model/scenario.ts";
import { RESTART_CHANGED, RESTART_DIED } from "../../vm/agent/agent_types.ts";

/** Rules that the kernel has no use for: what was, and what is made anew. */
const IGNORED: ReadonlySet<string> = new Set([
  "E_TASK_STATE",
  "E_TASK_EXIT",
  "E_CPU_DEBUG",
  "E_CPU_IP",
  "E_CPU_SELF",
  "E_XSTATE_INIT",
  // A chunk may be short, but not too long.
  "E_CHUNK_SIZE",
  "E_TRAILING",
]);

/** Rules for what must be the running kernel's own, or has an errno of its own. */
const OTHER_ERRNO: Readonly<Record<string, readonly string[]>> = {
  // One reader may still be in step where the other has run out of bytes.
  E_TRUNCATED: ["EPIPE", "EINVAL"],
  // It ends image check: what else HEAD has comes first with the kernel.
  E_MACHINE: ["ENOEXEC", "EINVAL"],
  E_VERSION: ["ENOEXEC", "EINVAL"],
  E_HEAD_TEXT: ["ENOEXEC"],
  E_ARCH_FLAGS: ["ENOEXEC"],
  E_XSTATE_SIZE: ["ENOEXEC", "EINVAL"],
  E_PAGE_PROT: ["ENOEXEC"],
  // What has pages in it may be too large for this kernel's vvar.
  E_PAGE_SPECIAL: ["ENOEXEC", "EINVAL"],
  E_VM_FLAGS: ["EINVAL", "EOPNOTSUPP"],
};

/**
 * What the kernel may refuse though the format allows it, by where the bit is: the guest's state explains it.
 * A reader that runs out of step says EPIPE, or EINVAL for what is no record there.
 */
const BY_STATE: readonly (readonly [path: RegExp, errnos: readonly string[]])[] = [
  [/^head\./, ["ENOEXEC"]],
  [/\/mm\.(map_count|start_data|end_data|start_brk|brk)$/, ["ENOMEM"]],
  [/\.vm_flags$/, ["EOPNOTSUPP", "ENOEXEC", "EPERM", "EAGAIN"]],
  [/\.vm_(start|end)$/, ["ENOMEM", "ENOEXEC", "EPERM", "EOVERFLOW", "EFAULT"]],
  [/\.vm_pgoff$/, ["EFAULT", "EOVERFLOW"]],
  [/\/fname$/, ["ENOENT", "EACCES", "ENOTDIR", "EFAULT", "ELOOP", "ENODEV"]],
  [/\/cpu\.(ds|es|fs|gs|cs|ss)$/, ["EINVAL", "ENOEXEC"]],
  [/\/(ldt|tls)$/, ["EINVAL"]],
  // What the CPU has of MXCSR, and XCR0.
  [/\/xstate\+(2[89]|3[01]|46[4-9]|47[01])$/, ["EINVAL"]],
  [/\/fsgsbase\.(fs|gs)base$/, ["EINVAL"]],
];

/** What the two readers make of one input. */
interface TwoVerdicts {
  /** The paths of the fields that may be wrong. */
  readonly paths: readonly string[];
  /** Of restart(2): 0, a negative errno, or what a try can end with beside. */
  readonly result: number;
  /** Of `image check`. */
  readonly findings: readonly Finding[];
}

/** How two verdicts go together. */
type Agreement = "both take it" | "both refuse it" | "only check objects" | "the guest's state";

/** How the two verdicts go together, or why they do not. */
export function agreementOf(
  { paths, result, findings }: TwoVerdicts,
): { readonly agreement: Agreement } | { readonly disagreement: string } {
  if (result === RESTART_CHANGED) return { disagreement: "the caller was changed though the call failed" };
  if (result >= RESTART_DIED) {
    return { disagreement: `the caller was ended by signal ${result - RESTART_DIED}` };
  }
  const faults = findings.filter(({ verdict }) => verdict !== "note");
  const ids = faults.filter(({ id, path }) => !IGNORED.has(id) || path.endsWith(".exit_state"))
    .map(({ id }) => id);
  const errno = result === 0 ? undefined : errnoName(-result);
  if (errno === undefined) {
    if (ids.length > 0) return { disagreement: `the kernel takes it, image check says ${ids.join(" ")}` };
    return { agreement: faults.length > 0 ? "only check objects" : "both take it" };
  }
  if (paths.includes(CUT)) {
    if (errno === "EPIPE" && ids.length > 0) return { agreement: "both refuse it" };
    return { disagreement: `cut short, it gives ${errno}, not EPIPE; image check says ${ids.join(" ")}` };
  }
  // Where a reader is out of step it may meet anything, the end included.
  const byRule = [...ids, ...faults.some(({ id }) => id === "E_CHUNK_SIZE") ? ["E_CHUNK_SIZE"] : []]
    .flatMap((id) => [...OTHER_ERRNO[id] ?? ["EINVAL"], "EPIPE"]);
  if (byRule.includes(errno)) return { agreement: "both refuse it" };
  const byState = paths.flatMap((path) => BY_STATE.find(([where]) => where.test(path))?.[1] ?? []);
  if (byState.includes(errno)) return { agreement: "the guest's state" };
  return { disagreement: `the kernel says ${errno}, image check ${ids.join(" ") || "nothing"}` };
}

const IMAGE = "/run/ckptest/spoilt";
const BATCH = 2048;
const DEADLINE = { deadlineMs: 600_000 } as const;

/** An image that a scenario gives in a guest. */
export async function imageOf(
  prepared: PreparedGuest,
  guest: Guest,
  scenario: Scenario,
): Promise<Uint8Array> {
  let image: Uint8Array | undefined;
  await scenarioRunner(prepared, { onCheckpoint: (seen) => image = seen.image })(guest, scenario);
  if (image === undefined) throw new Error(`${scenario.name} gave no image`);
  return image;
}

/** What many inputs came to. */
class Verdicts {
  /** How often the two readers agreed, in which way. */
  readonly counts = new Map<Agreement, number>();
  /** Where they did not, each kind once, and an input that shows it. */
  readonly disagreements = new Map<string, string>();
  inputs = 0;

  add(what: string, verdicts: TwoVerdicts): void {
    this.inputs++;
    const found = agreementOf(verdicts);
    if ("disagreement" in found) this.disagreements.set(found.disagreement, what);
    else this.counts.set(found.agreement, (this.counts.get(found.agreement) ?? 0) + 1);
  }

  toString(): string {
    const counts = [...this.counts].map(([agreement, count]) => `${agreement} ${count}`).join(", ");
    return `${this.inputs} inputs: ${counts}, ${this.disagreements.size} kinds of disagreement`;
  }
}

/** Lets both readers read an image of the guest's, spoilt in each of many ways. */
async function readSpoilt(
  { agent }: Guest,
  verdicts: Verdicts,
  { image, inputs }: { image: Uint8Array; inputs: readonly SpoiltInput[] },
): Promise<void> {
  await agent.writeFile(IMAGE, image);
  for (let at = 0; at < inputs.length; at += BATCH) {
    const batch = inputs.slice(at, at + BATCH);
    const [results, findings] = await Promise.all([
      agent.restarts(IMAGE, batch.map(({ attempt }) => attempt), DEADLINE),
      findingsOf(image, batch),
    ]);
    for (const [i, { attempt: { offset, mask, how }, path }] of batch.entries()) {
      const what = `${path}: byte ${offset} ^ ${mask}, by ${how}`;
      verdicts.add(what, { paths: [path], result: results[i]!, findings: findings[i]! });
    }
  }
}

/** Both skip records that they do not know, where such may stand. */
function check(image: Uint8Array): Finding[] {
  return checkImage(image, { allowUnknown: true });
}

/** What `image check` says, while the guest does its part. */
async function findingsOf(image: Uint8Array, inputs: readonly SpoiltInput[]): Promise<Finding[][]> {
  const all: Finding[][] = [];
  const spoilt = image.slice();
  for (const { attempt: { offset, mask } } of inputs) {
    if (all.length % 64 === 0) await setTimeout(0);
    if (mask !== 0) spoilt[offset]! ^= mask;
    all.push(check(mask === 0 ? image.subarray(0, offset) : spoilt));
    if (mask !== 0) spoilt[offset]! ^= mask;
  }
  return all;
}

/** Lets both readers read images of their own, as file and as pipe. */
async function readWhole(
  { agent }: Guest,
  verdicts: Verdicts,
  inputs: Iterable<WholeInput>,
): Promise<void> {
  for (const { image, what, paths } of inputs) {
    await agent.writeFile(IMAGE, image);
    const whole = { offset: image.length, mask: 0 } as const;
    const ways = ["file", "pipe"] as const;
    const results = await agent.restarts(IMAGE, ways.map((how) => ({ ...whole, how })), DEADLINE);
    const findings = check(image);
    const all = [...paths, ...loose(image)];
    results.forEach((result, i) => verdicts.add(`${what}, by ${ways[i]}`, { paths: all, result, findings }));
  }
}

/**
 * The selectors of an image whose descriptors are gone. A kernel writes such images, as only the next load notices;
 * restart(2), which loads them, refuses them.
 */
function loose(image: Uint8Array): string[] {
  const { nodes } = readNodes(image);
  const cpu = nodes.find((node) => isRecord(node, "CPU"));
  const ldt = nodes.find(({ kind }) => kind === "ldt") as LdtNode | undefined;
  const tls = nodes.find(({ kind }) => kind === "tls") as TlsNode | undefined;
  const head = nodes[0];
  if (!isRecord(head, "HEAD")) return [];
  const { wordSize } = formatOfHead(head.fields);
  const { firstTlsSlot } = abiOf(wordSize === 8 ? "x86_64" : "i386");
  return (["ds", "es", "fs", "gs"] as const).filter((name) => {
    const selector = Number((cpu?.fields[name] ?? 0n) & 0xffffn);
    const index = selector >> 3;
    const isLocal = (selector & 4) !== 0;
    const slot = index - firstTlsSlot;
    if (!isLocal && (slot < 0 || slot >= TLS_ENTRIES)) return false;
    const at = 8 * (isLocal ? index : slot);
    return !(isLocal ? ldt : tls)?.bytes.subarray(at, at + 8).some((byte) => byte !== 0);
  }).map((name) => `/cpu.${name}`);
}

/** How much is read, and by which kernel. */
interface ReadingOptions {
  readonly arch: "x86_64" | "i386";
  readonly flavour?: "debug";
  /** Of the bits of metadata, and of the ends, each such is tried. */
  readonly step: number;
  /** How many splices, and how many streams. */
  readonly count: number;
  readonly seed?: number;
}

/** Whose images are read: with LDT, TLS, files, FPU state, and hardly anything. */
const SCENARIOS = ["mixed_tls", "minimal", "registers_avx", "page_states"];

/** Lets the readers of one guest read images of each kind; gives the titles of what its kernel complained of, too. */
export async function readEverything(
  { arch, flavour, step, count, seed = 2008 }: ReadingOptions,
): Promise<{ verdicts: Verdicts; splats: string[]; leaks: string }> {
  const scenarios = (await readCatalogue()).filter(({ name }) => SCENARIOS.includes(name));
  const [platform] = parsePlatforms({ arch, flavour, fallback: arch });
  const prepared = await prepareGuest(platform!, { terminal: new Terminal(), scenarios });
  await using guest = await prepared.startGuest();
  const recorded: Uint8Array[] = [];
  for (const scenario of scenarios) recorded.push(await imageOf(prepared, guest, scenario));
  // What synthetic images map.
  await guest.agent.mkdir("/bin");
  await guest.agent.writeFile("/bin/target", new Uint8Array(16 * PAGE_SIZE));
  const own = guestParts(recorded[0]!);
  const images = [...recorded, syntheticImage({ ...own, ...FULL })];
  const verdicts = new Verdicts();
  const report = (what: string): void => console.error(`${arch} ${flavour ?? ""}, ${what}: ${verdicts}`);
  await readWhole(guest, verdicts, images.map((image, i) => ({ image, what: `image ${i}`, paths: [] })));
  assertEquals(verdicts.counts.get("both take it"), 2 * images.length, `${[...verdicts.disagreements]}`);
  await readWhole(guest, verdicts, corruptedImages(own));
  report("corruptions");
  await readWhole(guest, verdicts, splices(images, count, seed));
  await readWhole(guest, verdicts, streams(images, count, seed));
  report(`splices and streams of seed ${seed}`);
  for (const [i, image] of images.entries()) {
    const all = [...metadataFlips(image), ...cuts(image.length, 61)];
    await readSpoilt(guest, verdicts, { image, inputs: all.filter((_, at) => at % step === i % step) });
    report(`bits of image ${i}`);
  }
  const leaks = flavour === undefined ? "" : await finalLeakCheck(guest);
  return { verdicts, splats: parseSplats(guest.console.text()).map(({ title }) => title), leaks };
}

/** An LDT and TLS entries for a synthetic image. */
const FULL = {
  ldt: joinBytes([new Uint8Array(16), DATA_DESCRIPTOR]),
  tls: joinBytes([DATA_DESCRIPTOR, new Uint8Array(8), DATA_DESCRIPTOR]),
};
