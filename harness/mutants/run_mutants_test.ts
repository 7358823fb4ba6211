// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import type { Scenario } from "../../lib/model/scenario.ts";
import { ExpectedError, InterruptedError } from "../../vm/host/errors.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import type { Guest } from "../run/guest/guest.ts";
import type { PreparedGuest } from "../run/guest/prepare_guest.ts";
import { fakeAgent, fakePrepared } from "../run/testing/fake_guest.ts";
import type { Mutant } from "./mutant.ts";
import { type MutantResult, MutantRunner } from "./run_mutants.ts";

const CATALOGUE = [{ name: "minimal", about: "", needs: {} } as unknown as Scenario];

function mutantOf(name: string): Mutant {
  return {
    ...{ name, about: "A guest hangs.", platform: "x86_64", scenario: "minimal", edits: [] },
    finding: "lost at guest",
  };
}

const MUTANTS = ["one", "two", "three"].map(mutantOf);

function lostGuest(awaited: string): GuestLostError {
  const told = { reason: "timeout", awaited, consoleTail: "", consoleText: "", argv: [] };
  return new GuestLostError(told as unknown as ConstructorParameters<typeof GuestLostError>[0]);
}

function runnerOf(prepared: PreparedGuest): MutantRunner {
  return new MutantRunner({ prepared, mutants: MUTANTS, catalogue: CATALOGUE, onProgress() {} });
}

/** What guests were told, and how many of them ended. */
class ToldGuests {
  readonly told: string[] = [];
  ended = 0;
  readonly #answer: (content: string) => Promise<void>;

  constructor(answer: (content: string) => Promise<void> = () => Promise.resolve()) {
    this.#answer = answer;
  }

  start(): Promise<Guest> {
    const writeFile = async (path: string, content: Uint8Array | string): Promise<void> => {
      this.told.push(`${path}=${content}`);
      await this.#answer(`${content}`);
    };
    const guest: Partial<Guest> = {
      agent: fakeAgent({}, { writeFile }),
      [Symbol.asyncDispose]: () => Promise.resolve(void this.ended++),
    };
    return Promise.resolve(guest as Guest);
  }
}

Deno.test("a guest that does not boot kills no mutant, not even one that is to hang", async () => {
  const runner = runnerOf(fakePrepared(() => Promise.reject(lostGuest("the agent's hello"))));
  await assertRejects(() => runner.run(MUTANTS[0]!), ExpectedError, "boot: ");
});

Deno.test("a guest is told its mutant, and one that does not take it kills none and is ended", async () => {
  const guests = new ToldGuests(() => Promise.reject(lostGuest("writefile")));
  const runner = runnerOf(fakePrepared(() => guests.start()));
  await assertRejects(() => runner.run(MUTANTS[1]!), ExpectedError, "boot: ");
  assertEquals(new Set(guests.told), new Set(["/sys/module/kernel/parameters/cr_mutant=2"]));
  assertEquals(guests.ended, guests.told.length);
});

/** Mutants that end when the test says so. */
class HeldRunner extends MutantRunner {
  readonly running: string[] = [];
  readonly #ends = new Map<string, PromiseWithResolvers<MutantResult>>();

  override run(mutant: Mutant): Promise<MutantResult> {
    this.running.push(mutant.name);
    const end = Promise.withResolvers<MutantResult>();
    this.#ends.set(mutant.name, end);
    return end.promise;
  }

  async end(mutant: Mutant, error?: Error): Promise<void> {
    const end = this.#ends.get(mutant.name)!;
    if (error) end.reject(error);
    else end.resolve({ mutant, verdict: "killed", scenarios: 1, seconds: 1 });
    await new Promise((resolve) => setTimeout(resolve));
  }
}

function heldRunner(signal?: AbortSignal): HeldRunner {
  const prepared = fakePrepared(() => Promise.reject(lostGuest("nothing")), signal);
  return new HeldRunner({ prepared, mutants: MUTANTS, catalogue: CATALOGUE, onProgress() {} });
}

Deno.test("mutants run side by side, and results come in their order", async () => {
  const runner = heldRunner();
  const [one, two, three] = MUTANTS as [Mutant, Mutant, Mutant];
  const results: string[] = [];
  const done = runner.runAll(MUTANTS, { jobs: 2, onResult: ({ mutant }) => results.push(mutant.name) });
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(runner.running, ["one", "two"]);
  await runner.end(two);
  assertEquals([runner.running, results], [["one", "two", "three"], []]);
  await runner.end(one);
  await runner.end(three);
  await done;
  assertEquals(results, ["one", "two", "three"]);
});

Deno.test("an error in one mutant ends all, and so does an interrupt", async () => {
  const [one, two] = MUTANTS as [Mutant, Mutant, Mutant];
  const runner = heldRunner();
  const results: string[] = [];
  const done = runner.runAll(MUTANTS, { jobs: 2, onResult: ({ mutant }) => results.push(mutant.name) });
  const refused = assertRejects(() => done, ExpectedError, "minimal fails");
  await new Promise((resolve) => setTimeout(resolve));
  await runner.end(one, new ExpectedError("minimal fails without any mutant"));
  await runner.end(two);
  await refused;
  assertEquals([runner.running, results], [["one", "two"], ["two"]]);
  const interrupted = heldRunner(AbortSignal.abort("interrupted by SIGINT"));
  const all = interrupted.runAll(MUTANTS, { jobs: 2, onResult() {} });
  await assertRejects(() => all, InterruptedError);
  assertEquals(interrupted.running, []);
});

/** Mutants of which some end as they do. */
class EndingRunner extends MutantRunner {
  readonly running: string[] = [];
  readonly #killed: ReadonlySet<string>;

  constructor(mutants: readonly Mutant[], killed: readonly string[]) {
    const prepared = fakePrepared(() => Promise.reject(lostGuest("nothing")));
    super({ prepared, mutants, catalogue: CATALOGUE, onProgress() {} });
    this.#killed = new Set(killed);
  }

  override run(mutant: Mutant): Promise<MutantResult> {
    this.running.push(mutant.name);
    const result = { mutant, scenarios: 1, seconds: 6 } as const;
    if (!this.#killed.has(mutant.name)) return Promise.resolve({ ...result, verdict: "equivalent" });
    return Promise.resolve({ ...result, verdict: "missed", by: "minimal", finding: "E" });
  }
}

const MEMBERS = ["a", "b", "c"].map((name): Mutant => ({
  ...mutantOf(name),
  equivalent: "It changes nothing.",
}));
const GROUPED = [MUTANTS[0]!, ...MEMBERS, {
  ...{ ...mutantOf("group"), equivalent: "Each of them is." },
  members: MEMBERS,
}];

async function endsOf(runner: EndingRunner, wanted: readonly Mutant[]): Promise<string[]> {
  const ends: string[] = [];
  const onResult = ({ mutant, verdict, by, seconds }: MutantResult) =>
    ends.push(`${mutant.name} ${verdict} ${by} ${seconds}`);
  await runner.runAll(wanted, { jobs: 2, onResult });
  return ends;
}

Deno.test("what passes on a group passes on each of it, in one run that is the first", async () => {
  const runner = new EndingRunner(GROUPED, ["one"]);
  assertEquals(await endsOf(runner, GROUPED.slice(0, -1)), [
    "one missed minimal 6",
    ...["a", "b", "c"].map((name) => `${name} equivalent undefined 2`),
  ]);
  assertEquals(runner.running, ["group", "one"]);
});

Deno.test("a group that is killed is run one by one, and a false argument among true ones is found", async () => {
  const runner = new EndingRunner(GROUPED, ["b", "group"]);
  assertEquals(await endsOf(runner, MEMBERS), [
    ...["a equivalent minimal 6", "b missed minimal 6", "c equivalent minimal 6"],
  ]);
  assertEquals(runner.running, ["group", "a", "b", "c"]);
});

Deno.test("a group is not run for some of it", async () => {
  const runner = new EndingRunner(GROUPED, ["b"]);
  assertEquals(await endsOf(runner, MEMBERS.slice(1)), [
    ...["b missed minimal 6", "c equivalent undefined 6"],
  ]);
  assertEquals(runner.running, ["b", "c"]);
});
