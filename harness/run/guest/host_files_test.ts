// SPDX-License-Identifier: MIT

import { assert, assertEquals, assertRejects } from "@std/assert";
import { HOST_TAG } from "../../../vm/qemu/qemu_arguments.ts";
import { ERRNO } from "../../../lib/abi/errno.ts";
import { AgentError } from "../../../vm/agent/agent_wires.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import type { GuestAgent } from "./guest.ts";
import { mountHostFiles } from "./host_files.ts";

Deno.test("mountHostFiles() says what a kernel lacks that cannot mount them", async () => {
  const agent: Partial<GuestAgent> = {
    mkdir: () => Promise.resolve(),
    call: (name) => Promise.reject(new AgentError(name, ERRNO.ENODEV, "the system call")),
  };
  await assertRejects(() => mountHostFiles(agent as GuestAgent, []), UsageError, "CONFIG_9P_FS");
});

/** What is mounted where for some paths, and which files are made. */
async function mountsFor(needed: readonly string[]): Promise<{ mounts: string[][]; files: string[] }> {
  const mounts: string[][] = [];
  const files: string[] = [];
  const agent: Partial<GuestAgent> = {
    mkdir: () => Promise.resolve(),
    writeFile: (path) => Promise.resolve(void files.push(path)),
    call: (name, ...args) => {
      if (name === "mount") mounts.push(args.map(String));
      return Promise.resolve({ result: 0, bytes: new Uint8Array(0) });
    },
  };
  await mountHostFiles(agent as GuestAgent, needed);
  return { mounts, files };
}

Deno.test("mountHostFiles() puts the host's directories at their places, read-only", async () => {
  const { mounts } = await mountsFor(["/usr/bin/env"]);
  const [all, ...binds] = mounts;
  assertEquals([all?.[0], all?.[2], all?.[3]], [HOST_TAG, "9p", "1"]);
  const places = binds.map(([, place]) => place);
  assert(places.includes("/usr") && places.includes("/etc"), places.join());
  for (const own of ["/proc", "/dev", "/sys", "/run", "/tmp"]) assert(!places.includes(own), own);
  for (const [source, place, , flags] of binds) {
    assertEquals([source, flags], [`${all?.[1]}${place}`, "4096"]);
  }
});

Deno.test("mountHostFiles() brings what a program needs of /tmp: a directory, or one file", async () => {
  const directory = await Deno.makeTempDir({ dir: "/tmp" });
  const file = await Deno.makeTempFile({ dir: "/tmp" });
  try {
    await Deno.mkdir(`${directory}/sub`);
    await Deno.writeTextFile(`${directory}/sub/prog`, "");
    await Deno.writeTextFile(`${directory}/data`, "");
    const needed = [`${directory}/sub/prog`, `${directory}/data`, file, "/tmp"];
    const { mounts, files } = await mountsFor(needed);
    const places = mounts.map(([, place]) => place!).filter((place) => place.startsWith("/tmp"));
    assertEquals(places.toSorted(), [directory, file].toSorted());
    assertEquals(files, [file]);
  } finally {
    await Deno.remove(directory, { recursive: true });
    await Deno.remove(file);
  }
});
