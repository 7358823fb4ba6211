// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { ensureDir, exists } from "@std/fs";
import { pruneOld } from "./prune_old.ts";

const DAY = 86_400_000;

/** Makes entries of a thousand bytes, so many days old, and gives those that are left after pruning. */
async function left(
  days: Record<string, number>,
  options: { keepDays?: number; keepBytes?: number; spare?: string; locked?: string },
): Promise<string[]> {
  const base = await Deno.makeTempDir();
  try {
    for (const path of Object.keys(days)) {
      await ensureDir(`${base}/${path}`);
      await Deno.writeFile(`${base}/${path}/file`, new Uint8Array(1000));
    }
    using lock = await Deno.open(`${base}/${options.locked ?? ""}/.lock`, { write: true, create: true });
    await lock.lock(true);
    for (const [path, age] of Object.entries(days)) {
      const time = new Date(Date.now() - age * DAY);
      await Deno.utime(`${base}/${path}`, time, time);
    }
    await pruneOld({
      ...{ stateDir: `${base}/state`, cacheDir: `${base}/cache` },
      ...{ keepDays: options.keepDays ?? 30, keepBytes: options.keepBytes ?? 1e9 },
      spare: options.spare === undefined ? [] : [`${base}/${options.spare}`],
    });
    const there = await Promise.all(Object.keys(days).map((path) => exists(`${base}/${path}`)));
    return Object.keys(days).filter((_, index) => there[index]);
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}

const AGES = {
  "state/nights/a": 50,
  "state/nights/b": 5,
  "cache/runs/c": 40,
  "cache/runs/d": 3,
  "cache/store/e": 31,
  "cache/store/f": 0.5,
  "cache/trees/g": 99,
  "cache/git/h": 60,
};

Deno.test("pruneOld() removes nights, runs and kernels that are so many days old, and nothing else", async () => {
  assertEquals(await left(AGES, {}), ["state/nights/b", "cache/runs/d", "cache/store/f", "cache/trees/g"]);
  assertEquals((await left(AGES, { keepDays: 99 })).length, 8);
});

Deno.test("pruneOld() removes the oldest until the rest fits, but nothing of today", async () => {
  assertEquals(await left(AGES, { keepDays: 99, keepBytes: 3500 }), [
    ...["state/nights/b", "cache/runs/d", "cache/store/f", "cache/trees/g"],
  ]);
  assertEquals(await left(AGES, { keepDays: 99, keepBytes: 0 }), ["cache/store/f", "cache/trees/g"]);
});

Deno.test("pruneOld() leaves alone what it is told to, and a night that is running", async () => {
  assertEquals((await left(AGES, { spare: "state/nights/a" })).includes("state/nights/a"), true);
  assertEquals(await left({ "state/nights/a": 50 }, { locked: "state/nights/a" }), ["state/nights/a"]);
});
