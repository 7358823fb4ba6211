// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { GuestAgent } from "../guest/guest.ts";
import { awaitConditions, meets } from "./stop_conditions.ts";

/** An agent whose files give one text after the other, the last one for ever. */
function agentWith(files: Record<string, string[]>): GuestAgent {
  const readFile = (path: string): Promise<Uint8Array> => {
    const texts = files[path];
    if (!texts) return Promise.reject(new Error(`no ${path}`));
    return Promise.resolve(new TextEncoder().encode(texts.length > 1 ? texts.shift() : texts[0]));
  };
  return { readFile } as unknown as GuestAgent;
}

const WAIT = { pid: 7, waitFor: [], waitsForMerge: false };
/** For what never comes: what does come has time, however busy the machine is. */
const deadlineMs = 100;

Deno.test("meets() wants a match, or that there is none", () => {
  assertEquals(meets("a: 1\nb: 2\n", { file: "x", matching: "^b: 2$" }), true);
  assertEquals(meets("a: 1\nb: 2\n", { file: "x", matching: "^b: 1$" }), false);
  assertEquals(meets("a: 1\n", { file: "x", notMatching: "b" }), true);
  assertEquals(meets("a: 1\nb: 2\n", { file: "x", matching: "a", notMatching: "b" }), false);
});

Deno.test("awaitConditions() waits until a file is as it must be, and says when it never is", async () => {
  const waitFor = [{ file: "/proc/{pid}/maps", notMatching: "vdso" }];
  const agent = agentWith({ "/proc/7/maps": ["[vdso]", "[vdso]", "[stack]"] });
  assertEquals(await awaitConditions(agent, { ...WAIT, waitFor }), []);
  const stays = agentWith({ "/proc/7/maps": ["[vdso]"] });
  const never = await awaitConditions(stays, { ...WAIT, waitFor, deadlineMs });
  assertEquals(never.map(({ id, path, expected, actual }) => [id, path, expected, actual]), [
    ["E_SETUP", "/proc/7/maps", "no /vdso/", "[vdso]"],
  ]);
});

Deno.test("awaitConditions() waits for three whole scans of ksmd", async () => {
  const scans = (...texts: string[]) => agentWith({ "/sys/kernel/mm/ksm/full_scans": texts });
  const options = { ...WAIT, waitsForMerge: true };
  assertEquals(await awaitConditions(scans("5", "6", "7", "8"), options), []);
  const [stuck] = await awaitConditions(scans("5", "6", "7"), { ...options, deadlineMs });
  assertEquals([stuck?.expected, stuck?.actual], ["at least 8", "7"]);
});
