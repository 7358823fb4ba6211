// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import type { GuestAgent } from "./guest.ts";
import { installFiles } from "./install_files.ts";

Deno.test("installFiles() makes directories before files, and brings nothing twice", async () => {
  const record = (log: string[]): GuestAgent =>
    ({
      mkdir: (path: string) => Promise.resolve(void log.push(path)),
      writeFile: (path: string, bytes: Uint8Array) =>
        Promise.resolve(void log.push(`${path} ${bytes.length}`)),
    }) as unknown as GuestAgent;
  const read = (source: string): Promise<Uint8Array> => Promise.resolve(new Uint8Array(source.length));
  const log: string[] = [];
  const agent = record(log);
  await installFiles(agent, [{ path: "/usr/lib/a", source: "12" }, { path: "/usr/b", source: "123" }], read);
  assertEquals(log, ["/usr", "/usr/lib", "/usr/lib/a 2", "/usr/b 3"]);
  await installFiles(
    agent,
    [{ path: "/usr/lib/a", source: "12" }, { path: "/usr/lib/c", source: "1" }],
    read,
  );
  assertEquals(log.slice(4), ["/usr/lib/c 1"]);
  const other: string[] = [];
  await installFiles(record(other), [{ path: "/d", source: "1" }], read);
  assertEquals(other, ["/d 1"]);
});
