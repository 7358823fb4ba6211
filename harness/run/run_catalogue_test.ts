// SPDX-License-Identifier: MIT

import { assert, assertEquals } from "@std/assert";
import { parseScenario, type Scenario } from "../../lib/model/scenario.ts";
import { AgentError } from "../../vm/agent/agent_session.ts";
import { GuestLostError } from "../../vm/qemu/guest_lost_error.ts";
import type { Guest } from "./guest/guest.ts";
import { HarnessFault, isClean, type ScenarioResult } from "./scenario_result.ts";
import type { CaseOutcome } from "./case/observe_checkpoint.ts";
import { type CatalogueOptions, runCatalogue } from "./run_catalogue.ts";
import { FailureLimit } from "./failure_limit.ts";
import { GuestSlots } from "./guest_slots.ts";

function scenario(name: string): Scenario {
  return parseScenario({ about: "a scenario of a test", steps: [{ op: "stop", label: "x" }] }, name);
}

const CLEAN: CaseOutcome = {
  findings: [],
  stops: [{
    label: "x",
    image: new Uint8Array(4),
    findings: [],
    counts: { total: 4, predicted: 4, observed: 0, volatile: 0, unexplained: 0 },
    volatile: new Map(),
    pages: 0,
  }],
};
const BAD: CaseOutcome = {
  ...CLEAN,
  findings: [{ id: "E_X", verdict: "mismatch", path: "x", message: "wrong" }],
};

function lost(reason: "timeout" | "panic" | "qemu-exit" | "protocol"): GuestLostError {
  return new GuestLostError({
    reason,
    awaited: "an image",
    consoleTail: "",
    argv: ["qemu", "-M", "microvm"],
  });
}

/** A console that can be written to. */
class FakeConsole {
  #text = "";
  #grown = Promise.withResolvers<void>();

  readonly start = 0;

  get offset(): number {
    return this.#text.length;
  }

  get grown(): Promise<void> {
    return this.#grown.promise;
  }

  text(from = 0): string {
    return this.#text.slice(from);
  }

  print(text: string): void {
    this.#text += text;
    this.#grown.resolve();
    this.#grown = Promise.withResolvers<void>();
  }
}

/** A console, and an end. */
class FakeGuest {
  readonly command = "qemu";
  readonly console = new FakeConsole();
  readonly ended: Promise<void>;
  readonly end: () => void;
  readonly agent = {
    writeFile: (path: string, text: string): Promise<void> => {
      assertEquals(path, "/dev/kmsg");
      // What was printed before comes out before, and both after the agent's answer.
      setTimeout(() => this.print(text.replace("<4>", "[    9.000000] ")), 1);
      return Promise.resolve();
    },
  };
  readonly #dispose: () => void;

  constructor(dispose: () => void) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.end = resolve;
    this.#dispose = dispose;
  }

  print(text: string): void {
    this.console.print(text);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#dispose();
    return Promise.resolve();
  }
}

/** Guests that count how many were started and are open. */
function fakeGuests(): { start: () => Promise<Guest>; started: number; open: number } {
  const guests = {
    started: 0,
    open: 0,
    start: () => {
      guests.started++;
      guests.open++;
      return Promise.resolve(new FakeGuest(() => void guests.open--) as unknown as Guest);
    },
  };
  return guests;
}

type Outcomes = (name: string, time: number, guest: FakeGuest) => CaseOutcome | Error;

async function run(
  names: string[],
  outcomes: Outcomes,
  options: Partial<CatalogueOptions> = {},
): Promise<{ results: ScenarioResult[]; started: number; open: number }> {
  const guests = fakeGuests();
  const times = new Map<string, number>();
  const results: ScenarioResult[] = [];
  await runCatalogue(names.map(scenario), {
    onResult: (result) => void results.push(result),
    startGuest: guests.start,
    skipReason: ({ name }) => name === "unfit" ? "needs i386" : undefined,
    runScenario: (guest, { name }) => {
      const time = (times.get(name) ?? 0) + 1;
      times.set(name, time);
      const outcome = outcomes(name, time, guest as unknown as FakeGuest);
      return outcome instanceof Error ? Promise.reject(outcome) : Promise.resolve(outcome);
    },
    drain: { maxMs: 100, quietMs: 10 },
    ...options,
  });
  return { results, started: guests.started, open: guests.open };
}

/** What a WARN_ON() in a function prints. */
function warning(name: string): string {
  return [
    "------------[ cut here ]------------",
    `WARNING: CPU: 0 PID: 1 at fs/x.c:1 ${name}+0x1/0x2`,
    "Call Trace:",
    " do_syscall_64+0x3b/0x90",
    "---[ end trace 0000000000000000 ]---\n",
  ].map((line) => line.replace(/^/, "[    1.000000] ")).join("\n");
}

function statuses(results: ScenarioResult[]): unknown[] {
  return results.map(({ status, reproduced }) => [status, reproduced && reproduced.times > 0]);
}

Deno.test("runCatalogue() runs many scenarios in one guest and closes it", async () => {
  const { results, started, open } = await run(["a", "b", "c"], () => CLEAN);
  assertEquals(statuses(results), [["pass", undefined], ["pass", undefined], ["pass", undefined]]);
  assertEquals([started, open], [1, 0]);
});

Deno.test("runCatalogue() skips by name and starts no guest for it", async () => {
  const { results, started } = await run(["unfit"], () => CLEAN);
  assertEquals([results[0]?.status, results[0]?.reason, started], ["skip", "needs i386", 0]);
});

Deno.test("runCatalogue() runs a failed scenario again alone and says whether it failed again", async () => {
  const always = await run(["a", "b"], (name) => name === "a" ? BAD : CLEAN);
  assertEquals(statuses(always.results), [["fail", true], ["pass", undefined]]);
  assertEquals([always.started, always.open], [3, 0]);
  const once = await run(["a"], (_, time) => time === 1 ? BAD : CLEAN);
  assertEquals(statuses(once.results), [["fail", false]]);
});

Deno.test("runCatalogue() goes on with a fresh guest after one was lost, for each kind of loss", async () => {
  for (const reason of ["timeout", "panic", "qemu-exit", "protocol"] as const) {
    const { results, open } = await run(["a", "b"], (name) => name === "a" ? lost(reason) : CLEAN);
    assertEquals(statuses(results), [["lost", true], ["pass", undefined]]);
    assertEquals(results[0]?.reason?.includes(`guest lost (${reason})`), true);
    assertEquals(open, 0);
  }
});

Deno.test("runCatalogue() fails a scenario whose kernel complained, though its image is right", async () => {
  const { results, started } = await run(["a", "b"], (name, time, guest) => {
    if (name === "a" && time < 3) guest.print(warning("f"));
    return CLEAN;
  });
  assertEquals(statuses(results), [["fail", true], ["pass", undefined]]);
  assertEquals(results[0]?.outcome?.findings.map(({ id, actual }) => [id, actual]), [[
    "E_SPLAT",
    "WARNING in f",
  ]]);
  // The first run, two more with the splat and without, and one for the rest.
  assertEquals([results[0]?.reproduced, started], [{ times: 1, of: 2, sameSplat: 1 }, 4]);
});

Deno.test("runCatalogue() waits for what comes over the console after the agent's answer", async () => {
  const { results } = await run(["a", "b"], (name, _, guest) => {
    if (name === "a") setTimeout(() => guest.print(warning("late")), 0);
    return CLEAN;
  }, { repeat: 0 });
  assertEquals(statuses(results), [["fail", undefined], ["pass", undefined]]);
});

Deno.test("runCatalogue() makes the splat the finding when a lost guest says why, even late", async () => {
  const { results } = await run(["a"], (_, __, guest) => {
    setTimeout(() => guest.print(warning("slow")), 20);
    return lost("timeout");
  }, { repeat: 0 });
  assertEquals(results[0]?.status, "fail");
  assertEquals(results[0]?.outcome?.findings[0]?.actual, "WARNING in slow");
  assertEquals(results[0]?.reason?.includes("guest lost (timeout)"), true);
});

Deno.test("runCatalogue() does not take the end of the agent for a fault of the kernel", async () => {
  const { results } = await run(["a"], (_, __, guest) => {
    guest.print("[    1.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\n");
    guest.end();
    return lost("panic");
  }, { repeat: 0 });
  assertEquals(results[0]?.status, "lost");
});

Deno.test("runCatalogue() gives what comes between two scenarios to the one that ended last", async () => {
  let guest: FakeGuest | undefined;
  const { results, started } = await run(["a", "b"], (_, __, given) => {
    guest = given;
    return CLEAN;
  }, {
    repeat: 0,
    onStart: ({ name }) => {
      if (name === "b") guest?.print(warning("between"));
    },
  });
  assertEquals(results.map(({ scenario, phase, status }) => [scenario, phase, status]), [
    ["a", undefined, "pass"],
    ["a", "afterwards", "fail"],
    ["b", undefined, "pass"],
  ]);
  assertEquals(started, 2, "the guest that complained is not used again");
});

Deno.test("runCatalogue() checks the last guest as a whole, and reads its log to the end", async () => {
  const leak = `unreferenced object 0xffff888003c1e000 (size 64):\n  comm "x", pid 7, jiffies 1 (age 1s)\n` +
    `  backtrace:\n    [<00000000f2d4b6a1>] kmalloc_trace+0x2d/0x140\n    [<00000000f2d4b6a2>] cr_leak+0x2d/0x140\n`;
  const { results, open } = await run(["a"], () => CLEAN, {
    repeat: 0,
    finalCheck: (guest) => {
      (guest as unknown as FakeGuest).print(warning("at_the_end"));
      return Promise.resolve(leak);
    },
  });
  assertEquals(results.map(({ phase, splats }) => [phase, ...splats.map(({ title }) => title)]), [
    [undefined],
    ["afterwards", "memory leak in cr_leak"],
    ["afterwards", "WARNING in at_the_end"],
  ]);
  assertEquals(open, 0);
});

Deno.test("runCatalogue() fails when the final check could not be made", async () => {
  const { results } = await run(["a"], () => CLEAN, {
    repeat: 0,
    finalCheck: () => Promise.reject(new AgentError("writefile", 1, "/sys/kernel/debug/kmemleak")),
  });
  assertEquals(results.map(({ phase, status }) => [phase, status]), [[undefined, "pass"], [
    "afterwards",
    "fail",
  ]]);
  assertEquals(results[1]?.reason?.includes("kmemleak"), true);
});

Deno.test("runCatalogue() fails a boot with a splat once, and goes on", async () => {
  const guests = fakeGuests();
  const { results } = await run(["a", "b"], (name) => name === "a" ? BAD : CLEAN, {
    startGuest: async () => {
      const guest = await guests.start();
      (guest as unknown as FakeGuest).print(warning("boot"));
      return guest;
    },
  });
  assertEquals(results.map(({ scenario, status }) => [scenario, status]), [
    ["boot", "fail"],
    ["a", "fail"],
    ["b", "pass"],
  ]);
});

Deno.test("runCatalogue() reports every scenario as lost when no guest boots", async () => {
  const log = "[    0.100000] Kernel panic - not syncing: no\n";
  const start = (): Promise<Guest> => {
    const argv = ["qemu"];
    return Promise.reject(
      new GuestLostError({ reason: "panic", awaited: "hello", consoleTail: log, consoleText: log, argv }),
    );
  };
  const { results } = await run(["a", "unfit", "b"], () => CLEAN, { startGuest: start });
  assertEquals(results.map(({ scenario, status }) => [scenario, status]), [
    ["boot", "lost"],
    ["a", "lost"],
    ["unfit", "skip"],
    ["b", "lost"],
  ]);
  assertEquals(results[0]?.splats.map(({ title }) => title), ["kernel panic: no"]);
  assertEquals([results[0]?.reproduced, results[0]?.kernelLog], [{ times: 1, of: 1, sameSplat: 1 }, log]);
  assertEquals(results[3]?.reason?.startsWith("not run: guest lost (panic)"), true);
});

Deno.test("runCatalogue() goes on when the second boot succeeds, and still reports the first", async () => {
  const guests = fakeGuests();
  let boots = 0;
  const { results } = await run(["a"], () => CLEAN, {
    startGuest: () => boots++ === 0 ? Promise.reject(lost("timeout")) : guests.start(),
  });
  assertEquals(statuses(results), [["lost", false], ["pass", undefined]]);
});

Deno.test("runCatalogue() lets an allowed splat pass and says by which entry", async () => {
  const entry = { title: "WARNING in f", reason: "known", expires: "2999-01-01" };
  const { results, started } = await run(["a"], (_, __, guest) => {
    guest.print(warning("f"));
    return CLEAN;
  }, { allowed: ({ title }) => title === entry.title ? entry : undefined });
  assertEquals([results[0]?.status, results[0]?.splats[0]?.allowed, started], [
    "pass",
    "until 2999-01-01: known",
    1,
  ]);
});

Deno.test("runCatalogue() stops to run again what was reproduced in three scenarios", async () => {
  const { results } = await run(["a", "b", "c", "d"], (_, __, guest) => {
    guest.print(warning("everywhere"));
    return CLEAN;
  });
  assertEquals(results.map(({ reproduced }) => reproduced?.of), [2, 2, 2, undefined]);
});

Deno.test("runCatalogue() fails a scenario when the console does not show the mark", async () => {
  const { results } = await run(["a"], (_, __, guest) => {
    Object.assign(guest.agent, { writeFile: () => Promise.resolve() });
    guest.end();
    return CLEAN;
  }, { repeat: 0 });
  assertEquals(results[0]?.outcome?.findings.map(({ id }) => id), ["E_KERNEL_LOG"]);
});

/** What a judge or parser that meets what nobody foresaw throws. */
const ODD = new RangeError("a line of maps cannot be parsed");

Deno.test("runCatalogue() fails the scenario in which ckptest itself fails, and goes on", async () => {
  const { results, started, open } = await run(["a", "b"], (name, _, guest) => {
    if (name === "a") guest.print("[    1.000000] what the kernel said\n");
    return name === "a" ? ODD : CLEAN;
  });
  assertEquals(statuses(results), [["fail", true], ["pass", undefined]]);
  const [first] = results;
  assertEquals(first?.outcome?.findings.map(({ id, actual }) => [id, actual]), [
    ["E_HARNESS", "RangeError: a line of maps cannot be parsed"],
  ]);
  assertEquals([first?.fault?.trace, first?.kernelLog], [ODD.stack, "[    1.000000] what the kernel said\n"]);
  assertEquals([started, open], [3, 0]);
});

Deno.test("runCatalogue() keeps what a scenario was to be judged by when its judge fails", async () => {
  const kept = new Map([["1-checkpoint.image", Uint8Array.of(1)], ["2-observe.maps", Uint8Array.of(2)]]);
  const { results } = await run(["a"], () => new HarnessFault(ODD, kept), { repeat: 0 });
  assertEquals(results[0]?.fault?.inputs, kept);
  assertEquals(results[0]?.fault?.trace, ODD.stack);
});

Deno.test("runCatalogue() outlives errors of its own before, between and after scenarios", async () => {
  const broken = { repeat: 0, decode: () => Promise.reject(ODD) };
  const undecoded = await run(["a", "b"], (name, _, guest) => {
    if (name === "a") guest.print(warning("f"));
    return CLEAN;
  }, broken);
  assertEquals(statuses(undecoded.results), [["fail", undefined], ["pass", undefined]]);
  assertEquals(undecoded.results[0]?.outcome?.findings.map(({ id }) => id), ["E_SPLAT", "E_HARNESS"]);
  // The log cannot be read once: at boot, in a scenario, between two, at the end of the run.
  const seen = new Set<string>();
  for (let nth = 0;; nth++) {
    const guests = fakeGuests();
    let reads = 0;
    const { results, open } = await run(["a", "b"], () => CLEAN, {
      repeat: 0,
      startGuest: async () => {
        const guest = await guests.start();
        const read = guest.console.text.bind(guest.console);
        const text = (from?: number): string => {
          // Where it is asked without a place, all of it is kept for the report.
          if (from !== undefined && reads++ === nth) throw ODD;
          return read(from);
        };
        Object.assign(guest.console, { text });
        return guest;
      },
    });
    for (const name of ["a", "b"]) {
      assert(results.some(({ scenario }) => scenario === name), `${name}, read ${nth}`);
    }
    const faults = results.filter(({ fault }) => fault);
    if (reads <= nth) break;
    assertEquals([faults.length, guests.open + open], [1, 0], `read ${nth}`);
    seen.add(`${faults[0]?.scenario} ${faults[0]?.phase}`);
  }
  assertEquals([...seen].toSorted(), ["a undefined", "b afterwards", "b undefined", "boot boot"]);
  const check = await run(["a"], () => CLEAN, { finalCheck: () => Promise.reject(ODD) });
  assertEquals(check.results.map(({ phase, status }) => [phase, status]), [
    [undefined, "pass"],
    ["afterwards", "fail"],
  ]);
  assertEquals(check.results[1]?.fault?.trace, ODD.stack);
  assertEquals(check.open, 0);
});

Deno.test("runCatalogue() ends where it is interrupted, with the results until then", async () => {
  const controller = new AbortController();
  const { results, open } = await run(["a", "b", "c"], (name) => {
    if (name !== "b") return CLEAN;
    controller.abort("interrupted by SIGINT");
    return lost("qemu-exit");
  }, { signal: controller.signal });
  assertEquals(results.map(({ scenario, status }) => [scenario, status]), [["a", "pass"]]);
  assertEquals(open, 0);
  // The guest may be ended while a line goes into its log, behind a scenario that has passed.
  const late = new AbortController();
  const ended = await run(["a", "b"], (name, _, guest) => {
    const writeFile = () => Promise.reject(lost("qemu-exit"));
    if (name === "b") Object.assign(guest.agent, { writeFile });
    if (name === "b") late.abort("interrupted by SIGINT");
    return CLEAN;
  }, { signal: late.signal });
  assertEquals(ended.results.map(({ scenario, status }) => [scenario, status]), [["a", "pass"]]);
  // A failure is kept, though it could not be run again.
  const again = new AbortController();
  const failed = await run(["a", "b"], (_, time) => {
    if (time === 2) again.abort("interrupted by SIGINT");
    return time === 2 ? lost("qemu-exit") : BAD;
  }, { signal: again.signal });
  assertEquals(failed.results.map(({ status, reproduced }) => [status, reproduced]), [["fail", undefined]]);
  assertEquals(failed.open, 0);
});

/** Scenarios long enough for a second guest, and who they ran beside. */
const SIDE_BY_SIDE = { times: new Map(["a", "b", "c", "d"].map((name) => [name, 9000])) };

Deno.test("runCatalogue() runs guests side by side, and gives the results in the order of the scenarios", async () => {
  const first = Promise.withResolvers<void>();
  const guestOf = new Map<string, unknown>();
  const { results, started, open } = await run(["a", "b", "c", "d"], () => CLEAN, {
    ...SIDE_BY_SIDE,
    slots: new GuestSlots(2),
    runScenario: async (guest, { name }) => {
      guestOf.set(name, guest);
      // The first ends last.
      if (name === "d") setTimeout(first.resolve, 5);
      if (name === "a") await first.promise;
      return CLEAN;
    },
  });
  assertEquals(results.map(({ scenario }) => scenario), ["a", "b", "c", "d"]);
  assertEquals([started, open, new Set(guestOf.values()).size], [2, 0, 2]);
  assertEquals(guestOf.get("b"), guestOf.get("d"));
});

Deno.test("runCatalogue() gives a complaint to the scenario of the guest in which it came", async () => {
  const isThere = Promise.withResolvers<void>();
  const { results } = await run(["a", "b", "c"], () => CLEAN, {
    ...SIDE_BY_SIDE,
    ...{ slots: new GuestSlots(2), repeat: 0 },
    runScenario: async (guest, { name }) => {
      if (name === "a") await isThere.promise;
      if (name === "c") {
        (guest as unknown as FakeGuest).print(warning("f"));
        isThere.resolve();
      }
      return CLEAN;
    },
  });
  assertEquals(results.map(({ scenario, status }) => [scenario, status]), [
    ["a", "pass"],
    ["b", "pass"],
    ["c", "fail"],
  ]);
});

Deno.test("runCatalogue() goes on in the other guests when one no longer boots, and tells it once", async () => {
  const guests = fakeGuests();
  let boots = 0;
  const options = { ...SIDE_BY_SIDE, slots: new GuestSlots(2) };
  const one = await run(["a", "b", "c"], () => CLEAN, {
    ...options,
    startGuest: () => boots++ === 0 ? guests.start() : Promise.reject(lost("timeout")),
  });
  assertEquals(one.results.map(({ scenario, status }) => [scenario, status]), [
    ["boot", "lost"],
    ["a", "pass"],
    ["b", "pass"],
    ["c", "pass"],
  ]);
  const none = await run(["a", "b"], () => CLEAN, {
    ...options,
    startGuest: () => Promise.reject(lost("timeout")),
  });
  assertEquals(none.results.map(({ scenario, status }) => [scenario, status]), [
    ["boot", "lost"],
    ["a", "lost"],
    ["b", "lost"],
  ]);
});

Deno.test("runCatalogue() keeps what other guests had finished when it is interrupted", async () => {
  const controller = new AbortController();
  const { results, open } = await run(["a", "b", "c"], () => CLEAN, {
    ...SIDE_BY_SIDE,
    ...{ slots: new GuestSlots(2), signal: controller.signal },
    runScenario: async (_, { name }) => {
      if (name === "c") controller.abort("interrupted by SIGINT");
      while (name === "a" && !controller.signal.aborted) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      if (name !== "b") throw lost("qemu-exit");
      return CLEAN;
    },
  });
  assertEquals([results.map(({ scenario }) => scenario), open], [["b"], 0]);
});

Deno.test("runCatalogue() begins no scenario any more once enough have failed", async () => {
  for (const [names, stopped] of [["abc", "--bail: 2 failed"], ["ab", undefined]] as const) {
    const limit = new FailureLimit(2);
    const { results } = await run([...names], () => BAD, { repeat: 0, limit });
    assertEquals([results.map(({ scenario }) => scenario), limit.stopped], [["a", "b"], stopped]);
  }
});

Deno.test("runCatalogue() gives each scenario a guest of its own where that is wanted, and checks each", async () => {
  let checks = 0;
  const { results, started, open } = await run(["a", "unfit", "b", "c"], (name, time, guest) => {
    if (name === "b" && time === 1) guest.print(warning("f"));
    return CLEAN;
  }, { isolate: true, repeat: 1, finalCheck: () => (checks++, Promise.resolve("")) });
  assertEquals(results.map(({ scenario, status }) => [scenario, status]), [
    ["a", "pass"],
    ["unfit", "skip"],
    ["b", "fail"],
    ["c", "pass"],
  ]);
  // One for the failure to be run again.
  assertEquals([started, open, checks], [4, 0, 2]);
});

Deno.test("isClean() is false for a case without images and for an unexplained byte", () => {
  assertEquals(isClean(CLEAN), true);
  assertEquals(isClean({ findings: [], stops: [] }), false);
  const stop = CLEAN.stops[0]!;
  assertEquals(
    isClean({ findings: [], stops: [{ ...stop, counts: { ...stop.counts, unexplained: 1 } }] }),
    false,
  );
});

Deno.test("runCatalogue() records a failure that did not come again, and keeps the recording that has it", async () => {
  const place = await Deno.makeTempDir();
  const guests = fakeGuests();
  let recorded = 0;
  const startRecorded = () => async (): Promise<Guest> => {
    const recording = `${place}/${++recorded}`;
    await Deno.mkdir(recording);
    return Object.assign(await guests.start(), { recording });
  };
  // The first run fails, the second is the one that is made in any case, the third and fourth are recorded.
  const flaky = (_: string, time: number) => time === 1 || time === 4 ? BAD : CLEAN;
  const [first] = (await run(["flaky"], flaky, { startRecorded })).results;
  assertEquals(first?.recording, `${place}/2`);
  assertEquals(first?.reproduced, { times: 1, of: 3, sameSplat: 0 });
  assertEquals([...Deno.readDirSync(place)].map(({ name }) => name), ["2"]);
  // What never comes again has no recording, after three of them; what comes again at once is not recorded.
  const [once] = (await run(["once"], (_, time) => time === 1 ? BAD : CLEAN, { startRecorded })).results;
  assertEquals([once?.recording, once?.reproduced], [undefined, { times: 0, of: 4, sameSplat: 0 }]);
  assertEquals((await run(["always"], () => BAD, { startRecorded })).results[0]?.recording, undefined);
  // QEMU cannot play more again.
  const image = new Uint8Array(300 << 10);
  const large = { ...BAD, stops: [{ ...CLEAN.stops[0]!, image }] };
  const [big] = (await run(["big"], (_, time) => time === 1 ? large : CLEAN, { startRecorded })).results;
  assertEquals([big?.reproduced?.of, recorded, guests.open], [1, 5, 0]);
  await Deno.remove(place, { recursive: true });
});
