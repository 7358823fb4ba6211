// SPDX-License-Identifier: MIT

import { dirname } from "@std/path";
import type { ClosureFile } from "../../../vm/initramfs/program_closure.ts";
import type { GuestAgent } from "./guest.ts";

const installed = new WeakMap<GuestAgent, Set<string>>();

/**
 * Brings files of the host into a guest that does not have them yet. Programs with their libraries are large:
 * only guests that run them need the time and the memory.
 */
export async function installFiles(
  agent: GuestAgent,
  files: readonly ClosureFile[],
  read: (path: string) => Promise<Uint8Array> = Deno.readFile,
): Promise<void> {
  let present = installed.get(agent);
  if (!present) installed.set(agent, present = new Set());
  for (const { path, source } of files) {
    if (present.has(path)) continue;
    await makeDirectory(agent, dirname(path), present);
    await agent.writeFile(path, await read(source));
    present.add(path);
  }
}

async function makeDirectory(agent: GuestAgent, path: string, present: Set<string>): Promise<void> {
  if (path === "/" || present.has(path)) return;
  await makeDirectory(agent, dirname(path), present);
  await agent.mkdir(path);
  present.add(path);
}
