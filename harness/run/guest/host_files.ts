// SPDX-License-Identifier: MIT

import { dirname } from "@std/path";
import { ERRNO } from "../../../lib/abi/errno.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { AgentError } from "../../../vm/agent/agent_wires.ts";
import { HOST_TAG } from "../../../vm/qemu/qemu_arguments.ts";
import type { GuestAgent } from "./guest.ts";

/** Where the guest has all files of the host; what a program sees stands at the host's own paths. */
const HOST = "/run/ckptest.host";

/** Names below `/` that are the guest's own. */
const OWN: ReadonlySet<string> = new Set([
  "dev",
  "proc",
  "sys",
  "run",
  "tmp",
  "work",
  "init",
  "target",
  "other-target",
]);
/** Those of them in which a file of the host may stand. */
const MIXED = ["/run", "/tmp", "/work"];

const NEEDED = "CONFIG_NET_9P_VIRTIO and CONFIG_9P_FS";
const MS_RDONLY = 1;
const MS_BIND = 4096;

/**
 * Gives a guest the files of the host, read-only and at the same paths: a program finds there whatever it opens, and no
 * list of its files is needed. In directories that are the guest's own only the paths that are named are there,
 * each with all that lies beside it.
 */
export async function mountHostFiles(agent: GuestAgent, needed: readonly string[]): Promise<void> {
  await agent.mkdir(HOST);
  const data = "trans=virtio,version=9p2000.L,msize=262144,cache=loose";
  await agent.call("mount", HOST_TAG, HOST, "9p", MS_RDONLY, data).catch((error) => {
    if (!(error instanceof AgentError && error.errno === ERRNO.ENODEV)) throw error;
    throw new UsageError(`programs of this host need ${NEEDED}, which this kernel has not`);
  });
  for await (const { name, isDirectory, isSymlink } of Deno.readDir("/")) {
    const path = `/${name}`;
    if (OWN.has(name)) continue;
    if (isSymlink) await agent.call("symlink", await Deno.readLink(path), path).catch(unlessThere);
    else if (isDirectory) await bind(agent, path);
  }
  const mixed = needed.map(directoryOf).filter((path) => path !== undefined);
  for (const { path, isDirectory } of mixed.toSorted((a, b) => a.path.length - b.path.length)) {
    const isThere = mixed.some((other) => path.startsWith(`${other.path}/`) && other.isDirectory);
    if (isThere) continue;
    if (!isDirectory) await agent.writeFile(path, "");
    await bind(agent, path, isDirectory);
  }
}

/** What of a path must be bound: the directory that it is in, unless that is shared with the guest's own files. */
function directoryOf(path: string): { path: string; isDirectory: boolean } | undefined {
  if (!MIXED.some((own) => path.startsWith(`${own}/`))) return undefined;
  const { isDirectory } = Deno.statSync(path);
  if (isDirectory) return { path, isDirectory };
  const directory = dirname(path);
  return MIXED.includes(directory) ? { path, isDirectory } : { path: directory, isDirectory: true };
}

async function bind(agent: GuestAgent, path: string, isDirectory = true): Promise<void> {
  const directory = isDirectory ? path : dirname(path);
  for (let end = directory.indexOf("/", 1); end >= 0; end = directory.indexOf("/", end + 1)) {
    await agent.mkdir(directory.slice(0, end));
  }
  if (isDirectory) await agent.mkdir(path);
  await agent.call("mount", `${HOST}${path}`, path, "", MS_BIND, "");
}

function unlessThere(error: unknown): void {
  if (!(error instanceof AgentError && error.errno === ERRNO.EEXIST)) throw error;
}
