// SPDX-License-Identifier: MIT
/**
 * The judge of v11 images on recorded sessions of a genuine 2.6.28-rc7 kernel with the code as posted in December
 * 2008. They lie outside the project, beside it; where they are absent, the tests say so, and the synthetic sessions of
 * `fixtures/sessions` alone are judged.
 */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { readCatalogue, unmetNeed } from "../harness/run/catalogue.ts";
import type { CaseOutcome } from "../harness/run/case/observe_checkpoint.ts";
import type { Session } from "../harness/run/case/testing/session.ts";
import { synthesizeSession } from "../harness/run/case/testing/synthesize_session.ts";
import { PLATFORMS } from "../harness/run/platform.ts";
import { PAGE_SIZE } from "../lib/abi/arch.ts";
import { SOURCES } from "../lib/compare/byte_coverage.ts";
import { unpackFixture } from "../lib/compare/testing/recorded_case.ts";
import { type Finding, findingText } from "../lib/image/finding.ts";
import { compileScenario } from "../lib/model/compile_scenario.ts";
import { selfScenario, selfSkipReason } from "../lib/model/scenario.ts";
import { type Damage, damagesTo, pageDamages, whileDamaged } from "./damage_image.ts";
import { SYNTHETIC_KERNEL } from "./synthesize_v11_sessions.ts";
import { compileTargetOf, readSession, readSessionKernel, replay } from "./v11_sessions.ts";

const FOLDER = fromFileUrl(new URL("../../shared/v11-live/", import.meta.url));
const FIXTURES = new URL("../fixtures/sessions/", import.meta.url);

/** Sessions in which not what the scenario means was done, and why. */
const ODD: Readonly<Record<string, string>> = {
  fork_heap_and_stack: "signal 11: memory far below the stack pointer is not to be had before Linux 5.0",
  growsdown: "signal 11: memory far below the stack pointer is not to be had before Linux 5.0",
  growsdown_split: "signal 11: memory far below the stack pointer is not to be had before Linux 5.0",
  stack: "signal 11: memory far below the stack pointer is not to be had before Linux 5.0",
  namespace_pid: "unshare(CLONE_NEWPID) came with Linux 3.8",
  refuse_dev_mem: "the guest had no /dev/mem",
  refuse_hugetlb: "MAP_HUGETLB came with Linux 2.6.32, and is ignored",
  refuse_shm: "the kernel has no System V shared memory",
  vmas_flags_differ: "MADV_DONTDUMP came with Linux 3.4",
};

/** Sessions in which every field of every kind of record is damaged in turn; in the others one field of each. */
const THOROUGH = ["ldt_loaded", "mixed", "mixed_tls", "refuse_then_save", "tls_labels", "v11_fpu_sse"];

function sessionNames(): string[] | undefined {
  try {
    return [...Deno.readDirSync(FOLDER)].filter(({ isDirectory, name }) => isDirectory && name !== "custom")
      .map(({ name }) => name).sort();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

const names = sessionNames();
const kernel = names && await readSessionKernel(FOLDER);

async function recorded(name: string): Promise<Session> {
  return await readSession(`${FOLDER}${name}/`, kernel!);
}

async function synthetic(name: string): Promise<Session> {
  return await unpackFixture(await Deno.readFile(new URL(name, FIXTURES))) as Session;
}

function allFindings({ findings, stops }: CaseOutcome): Finding[] {
  return [...findings, ...stops.flatMap((stop) => stop.findings)];
}

/** Nothing is found, every stop gave an image, and every byte of it is explained. */
function assertPasses(session: Session, outcome: CaseOutcome): void {
  assertEquals(allFindings(outcome).map(findingText), []);
  assertEquals(
    outcome.stops.map(({ image }) => image.length),
    session.stops.map(({ image }) => image.length),
  );
  for (const { counts } of outcome.stops) assertEquals(counts.unexplained, 0);
}

/** Adds numbers by name. */
class Sums {
  readonly #sums = new Map<string, number>();

  add(name: string, count: number): void {
    this.#sums.set(name, count + (this.#sums.get(name) ?? 0));
  }

  lines(unit: string): string[] {
    return [...this.#sums].sort(([, a], [, b]) => b - a).map(([name, count]) => `  ${count} ${unit}${name}`);
  }
}

const coverage = new Sums();
const knownErrors = new Sums();
let passed = 0;
let caught = 0;

function addUp({ stops }: CaseOutcome): void {
  for (const stop of stops) {
    for (const [source, bytes] of stop.sources ?? []) {
      coverage.add(`${SOURCES[source].kind}: ${SOURCES[source].text}`, bytes);
    }
    for (const [name, { bytes }] of stop.volatile) coverage.add(`volatile: ${name}`, bytes);
    for (const [id, { count, message }] of stop.knownErrors ?? []) knownErrors.add(`${id} ${message}`, count);
  }
}

/**
 * Damages each image of a session in turn; each time the case must fail. Pages that the target goes on changing
 * between its call and its stop are declared: no other one may be damaged unnoticed.
 *
 * @returns how many damages were noticed
 */
async function damageAll(session: Session, everyField: boolean): Promise<number> {
  const compiled = compileScenario(session.scenario, compileTargetOf(session.kernel));
  const { stops } = await replay(session, compiled);
  const isNoticed = async (image: Uint8Array, damage: Damage): Promise<boolean> =>
    allFindings(await whileDamaged(image, damage, () => replay(session, compiled))).length > 0;
  let damages = 0;
  for (const [index, { label, image }] of session.stops.entries()) {
    for (const damage of damagesTo(image, { everyField })) {
      assert(
        await isNoticed(image, damage),
        `${label}: ${damage.path}, byte ${damage.offset}, is not noticed`,
      );
      damages++;
    }
    const pages = pageDamages(image, image.length > LARGE ? 4 : Infinity);
    let unnoticed = 0;
    for (const damage of pages) if (!await isNoticed(image, damage)) unnoticed++;
    const own = stops[index]?.volatile.get(OWN_PAGES)?.bytes ?? 0;
    assert(unnoticed * PAGE_SIZE <= own, `${label}: ${unnoticed} pages, and ${own} bytes are declared`);
    assert(unnoticed < pages.length || pages.length === 0, `${label}: no page of ${pages.length}`);
    damages += pages.length - unnoticed;
  }
  return damages;
}

const OWN_PAGES = "pages of the target's own program in a self checkpoint";
/** Of an image of so many bytes, a few pages are damaged. */
const LARGE = 1 << 20;

for (const name of names ?? []) {
  const reason = ODD[name];
  Deno.test(`v11 session ${name}: ${reason ?? "every byte is explained, and a damaged one noticed"}`, async () => {
    const session = await recorded(name);
    const outcome = await replay(session);
    if (reason !== undefined) {
      // The runner must say that the target did not do what the scenario means.
      const ids = outcome.findings.map(({ id }) => id);
      assert(
        ids.includes("E_SETUP") || ids.includes("E_TARGET"),
        allFindings(outcome).map(findingText).join("\n"),
      );
      return;
    }
    assertPasses(session, outcome);
    addUp(outcome);
    passed++;
    caught += await damageAll(session, THOROUGH.includes(name));
  });
}

Deno.test({
  name: names === undefined
    ? `v11 sessions: not tested, there are none in ${FOLDER}`
    : "v11 sessions: what explains the bytes, and known errors",
  ignore: names === undefined,
  fn: () => {
    const odd = Object.entries(ODD).map(([name, reason]) => `  ${name}: ${reason}`);
    console.log(
      [
        `${passed} passed, ${names!.length - odd.length - passed} failed; ${caught} damages, all noticed`,
        ...coverage.lines("bytes "),
        "known errors:",
        ...knownErrors.lines("x "),
        `${odd.length} odd ones, not judged:`,
        ...odd,
      ].join("\n"),
    );
    assertEquals(names!.filter((name) => ODD[name] === undefined).length, passed);
    assertEquals(Object.keys(ODD).filter((name) => !names!.includes(name)), []);
  },
});

for (const { name } of [...Deno.readDirSync(FIXTURES)].sort((a, b) => a.name < b.name ? -1 : 1)) {
  Deno.test(`synthetic v11 session ${name}: every byte is explained, and a damaged one noticed`, async () => {
    const session = await synthetic(name);
    assertPasses(session, await replay(session));
    assert(await damageAll(session, true) > 0);
  });
}

Deno.test("images of revisions 2 and 3 are judged, too, where the kernel is known to write them", async () => {
  const scenario = (await readCatalogue()).find(({ name }) => name === "mixed_tls")!;
  for (const revision of [2, 3]) {
    const kernel = { ...SYNTHETIC_KERNEL, revision };
    const session = synthesizeSession(selfScenario(scenario), kernel, compileTargetOf(kernel));
    assertPasses(session, await replay(session));
    const asFirst = allFindings(await replay({ ...session, kernel: SYNTHETIC_KERNEL }));
    assertEquals(asFirst.filter(({ path }) => path === "head.rev").length, session.stops.length);
    assert(asFirst.some(({ id }) => id === "E_UNEXPLAINED"));
  }
});

Deno.test("every scenario that a target of 2008 can do by itself is judged by the model of its kernel", async () => {
  const platform = PLATFORMS.find(({ name }) => name === "i386")!;
  const needs = { platform, config: undefined, release: SYNTHETIC_KERNEL.release };
  const target = compileTargetOf(SYNTHETIC_KERNEL);
  let judged = 0;
  for (const named of await readCatalogue()) {
    // What it needs of the configuration, a kernel of 2008 may have.
    const scenario = { ...named, needs: { ...named.needs, config: [] } };
    if (selfSkipReason(scenario) ?? unmetNeed(scenario, needs)) continue;
    const session = synthesizeSession(selfScenario(scenario), SYNTHETIC_KERNEL, target);
    assertEquals([named.name, ...allFindings(await replay(session)).map(findingText)], [named.name]);
    judged++;
  }
  assert(judged > 150, `only ${judged}`);
});
