// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { EXIT_STATUS, ExpectedError } from "../../vm/host/errors.ts";
import { WatchEvents, watchRuns } from "./watch.ts";
import { addEdits } from "./watch_sources.ts";

/** Plays a watch: the exit status of each run, or what happens while it runs; and what happens between them. */
async function play(
  runs: readonly (number | string)[],
  between: readonly string[],
): Promise<{ log: string[]; status: number }> {
  const events = new WatchEvents();
  const add = (text: string): void => {
    if (text === "edit") events.add({ edited: "call.c" });
    else if (text === "end") events.add("end");
    else for (const key of text) events.add({ key });
  };
  const log: string[] = [];
  const left = [...runs];
  const pauses = [...between];
  const status = await watchRuns({
    filter: ["ldt"],
    events,
    prompt: (text) => text !== undefined && log.push(text),
    tell: (line) => {
      log.push(line.split(";")[0]!);
      if (line.startsWith("waiting")) add(pauses.shift() ?? "end");
    },
    start: ({ filter, failed }) => {
      log.push(`run ${filter}${failed ? " failed" : ""}`);
      const next = left.shift() ?? EXIT_STATUS.pass;
      const done = Promise.withResolvers<number>();
      if (typeof next === "number") done.resolve(next);
      else add(next);
      return {
        done: done.promise,
        stop: () => {
          log.push("stop");
          done.resolve(EXIT_STATUS.interrupted);
        },
      };
    },
  });
  return { log: log.filter((line) => !line.startsWith("waiting")), status };
}

const { pass, testFailed, nothingRan } = EXIT_STATUS;

Deno.test("watchRuns() runs what failed first after an edit, and the rest once that passes", async () => {
  const still = await play([testFailed, testFailed, pass, pass], ["edit", "edit"]);
  assertEquals(still.log, [
    "run ldt",
    "call.c was edited",
    "run ldt failed",
    "call.c was edited",
    "run ldt failed",
    "run ldt",
  ]);
  assertEquals(still.status, pass);
  const gone = await play([testFailed, nothingRan, testFailed], ["edit"]);
  assertEquals([gone.log.at(-1), gone.status], ["run ldt", testFailed]);
});

Deno.test("watchRuns() runs all after an edit when nothing failed, and on r", async () => {
  const { log } = await play([pass, pass, pass], ["edit", "r", "q"]);
  assertEquals(log, ["run ldt", "call.c was edited", "run ldt", "run ldt"]);
});

Deno.test("watchRuns() ends a run that an edit or a key comes into", async () => {
  const { log, status } = await play(["edit", "q"], []);
  assertEquals(log, ["run ldt", "call.c was edited", "stop", "run ldt", "stop"]);
  assertEquals(status, nothingRan);
});

Deno.test("watchRuns() takes a filter that is typed, and none that is given up", async () => {
  const { log } = await play([pass, pass], ["fabc\x7f\x1bfx\x01y\n"]);
  assertEquals(log.filter((line) => line.startsWith("run")), ["run ldt", "run xy"]);
  assertEquals(log.filter((line) => line.startsWith("filter")).at(-1), "filter: xy");
  assertEquals((await play([pass, pass], ["f\n"])).log.at(-1), "run ");
});

Deno.test("addEdits() tells of a file that was saved, and not of what editors and git keep", async () => {
  const directory = await Deno.makeTempDir();
  const events = new WatchEvents();
  const ended = new AbortController();
  const edits = addEdits(events, [directory], ended.signal);
  await Deno.mkdir(`${directory}/.git`);
  for (const name of [".a.c.swp", "a.c~", "4913", ".git/index", "a.c"]) {
    await Deno.writeTextFile(`${directory}/${name}`, "x");
  }
  assertEquals(await events.next(), { edited: `${await Deno.realPath(directory)}/a.c` });
  ended.abort();
  await edits;
  await Deno.remove(directory, { recursive: true });
  await assertRejects(() => addEdits(events, [directory], ended.signal), ExpectedError, directory);
});
