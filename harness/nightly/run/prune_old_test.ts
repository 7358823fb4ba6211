// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { exists } from "@std/fs";
import { withFileLock } from "../../../vm/host/file_lock.ts";
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
      await Deno.mkdir(`${base}/${path}`, { recursive: true });
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
  "state/nightly/a": 50,
  "state/nightly/b": 5,
  "cache/runs/c": 40,
  "cache/runs/d": 3,
  "cache/store/e": 31,
  "cache/store/f": 0.5,
  "cache/src/g": 99,
  "cache/git/h": 60,
};

Deno.test("pruneOld() removes runs and kernels that are so many days old, and nothing else", async () => {
  assertEquals(await left(AGES, {}), [
    "state/nightly/b",
    "cache/runs/d",
    "cache/store/f",
    "cache/src/g",
  ]);
  assertEquals((await left(AGES, { keepDays: 99 })).length, 8);
});

Deno.test("pruneOld() removes the oldest until the rest fits, but nothing of today", async () => {
  assertEquals(await left(AGES, { keepDays: 99, keepBytes: 3500 }), [
    ...["state/nightly/b", "cache/runs/d", "cache/store/f", "cache/src/g"],
  ]);
  assertEquals(await left(AGES, { keepDays: 99, keepBytes: 0 }), ["cache/store/f", "cache/src/g"]);
});

Deno.test("pruneOld() leaves alone what it is told to, and a nightly run that is running", async () => {
  assertEquals((await left(AGES, { spare: "state/nightly/a" })).includes("state/nightly/a"), true);
  assertEquals(await left({ "state/nightly/a": 50 }, { locked: "state/nightly/a" }), [
    "state/nightly/a",
  ]);
});

Deno.test("pruneOld() removes trees, builds, programs, archives and leftovers of all kinds", async () => {
  const old = [
    ...["trees/k-6.1", "build/k-6.1-x86_64-abc", "series/trees/k-6.1", "series/build/k-6.1-i386"],
    ...["guest/0123", "initramfs/4567.cpio", "tmp/hooks-1", "series/logs/x.log", "store/.removed-8"],
  ].map((name) => [`cache/${name}`, 40] as const);
  const young = ["trees/k-6.12", "build/k-6.12-x86_64-abc"].map((name) => [`cache/${name}`, 1.5] as const);
  const left = await leftOf(Object.fromEntries([...old, ...young]));
  assertEquals(left, young.map(([name]) => name));
});

/** As {@linkcode left}, with work done between the making and the pruning; trees have their files beside them. */
async function leftOf(
  days: Record<string, number>,
  around: (base: string, prune: () => Promise<void>) => Promise<void> = (_, prune) => prune(),
): Promise<string[]> {
  const base = await Deno.makeTempDir();
  try {
    for (const [path, age] of Object.entries(days)) {
      const time = new Date(Date.now() - age * DAY);
      await Deno.mkdir(`${base}/${path}`, { recursive: true });
      await Deno.writeFile(`${base}/${path}/file`, new Uint8Array(1000));
      const beside = path.includes("trees/") ? [".json", ".manifest", ".lock"] : [];
      for (const suffix of beside) {
        await Deno.writeTextFile(`${base}/${path}${suffix}`, "");
        await Deno.utime(`${base}/${path}${suffix}`, time, time);
      }
      await Deno.utime(`${base}/${path}`, time, time);
    }
    await around(base, async () => {
      await pruneOld({ stateDir: `${base}/state`, cacheDir: `${base}/cache`, keepDays: 30, keepBytes: 1e9 });
    });
    const there = await Promise.all(Object.keys(days).map((path) => exists(`${base}/${path}`)));
    return Object.keys(days).filter((_, index) => there[index]);
  } finally {
    await Deno.remove(base, { recursive: true });
  }
}

const TREES = {
  "cache/trees/k-6.1": 40,
  "cache/trees/k-6.1-debug": 40,
  "cache/trees/k-6.12": 40,
  "cache/build/k-6.1-x86_64-abc": 40,
  "cache/build/k-6.12-x86_64-abc": 40,
};

Deno.test("pruneOld() leaves a tree that is built, and what may be built of it", async () => {
  const during = (lock: string) => (base: string, prune: () => Promise<void>) =>
    withFileLock(`${base}/cache/trees/${lock}.lock`, prune);
  // The lock's file says when it was taken last, so the tree itself counts as used today.
  assertEquals(await leftOf(TREES, during("k-6.1")), ["cache/trees/k-6.1", "cache/build/k-6.1-x86_64-abc"]);
  assertEquals(await leftOf(TREES, during("k-6.1-debug")), [
    ...["cache/trees/k-6.1-debug", "cache/build/k-6.1-x86_64-abc"],
  ]);
  // A build that has gone on since long ago, by the clock.
  const since = (base: string, prune: () => Promise<void>) =>
    during("k-6.12")(base, async () => {
      const time = new Date(Date.now() - 40 * DAY);
      await Deno.utime(`${base}/cache/trees/k-6.12.lock`, time, time);
      await prune();
    });
  assertEquals(await leftOf(TREES, since), ["cache/trees/k-6.12", "cache/build/k-6.12-x86_64-abc"]);
});

Deno.test("pruneOld() leaves nothing that speaks of a tree that is gone, but for its lock", async () => {
  await leftOf({ "cache/trees/k-6.1": 40 }, async (base, prune) => {
    await prune();
    assertEquals((await Array.fromAsync(Deno.readDir(`${base}/cache/trees`))).map(({ name }) => name), [
      "k-6.1.lock",
    ]);
  });
});

Deno.test("pruneOld() counts a file with another name elsewhere as nothing: its removal frees nothing", async () => {
  const linked = async (keepBytes: number) =>
    await leftOf({ "cache/trees/k-6.1": 2 }, async (base) => {
      const tree = `${base}/cache/trees/k-6.1`;
      await Deno.writeFile(`${base}/source`, new Uint8Array(100_000));
      await Deno.link(`${base}/source`, `${tree}/source`);
      const time = new Date(Date.now() - 2 * DAY);
      await Deno.utime(tree, time, time);
      await pruneOld({ stateDir: `${base}/state`, cacheDir: `${base}/cache`, keepDays: 30, keepBytes });
    });
  assertEquals(await linked(50_000), ["cache/trees/k-6.1"]);
  assertEquals(await linked(500), []);
});
