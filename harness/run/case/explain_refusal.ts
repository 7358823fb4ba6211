// SPDX-License-Identifier: MIT

import { errnoName } from "../../../lib/abi/errno.ts";
import type { ObservedCheckpoint } from "./observe_checkpoint.ts";

/** What is wrong with a process, by what /proc shows of it; undefined when nothing of that kind is. */
type Reason = (process: { readonly status: string; readonly maps: readonly string[] }) => string | undefined;

/** A reason that is a mapping. */
function mapping(what: string, isIt: (mapping: { isShared: boolean; name: string }) => boolean): Reason {
  return ({ maps }) => {
    for (const line of maps) {
      const [, range, flags = "", name = ""] = /^(\S+) (\S+) \S+ \S+ \S+\s*(.*)$/.exec(line) ?? [];
      if (isIt({ isShared: flags.endsWith("s"), name })) {
        return `maps ${what}${name === "" ? "" : `, ${name}`} at ${range}`;
      }
    }
    return undefined;
  };
}

/** By errno, what checkpoint(2) refuses (docs/checkpoint.2.md): the first that is seen, else the last. */
const REASONS: Readonly<Record<string, readonly Reason[]>> = {
  EOPNOTSUPP: [
    ({ status }) => {
      const threads = Number(/^Threads:\s*(\d+)$/m.exec(status)?.[1]);
      return threads > 1 ? `has ${threads} threads` : undefined;
    },
    () => "shares its address space with another process",
  ],
  ENOSYS: [
    mapping("shared memory", ({ isShared }) => isShared),
    () => "maps huge pages or a device",
  ],
  ENOENT: [mapping("a file that was deleted", ({ name }) => name.endsWith(" (deleted)"))],
  EBADF: [
    mapping("memory without a path", ({ name }) => name.startsWith("/memfd:")),
    () => "maps a file that cannot be reached by its path",
  ],
  ENAMETOOLONG: [() => "maps a file whose path is too long"],
  EFAULT: [() => "has a page in swap that cannot be read"],
  EHWPOISON: [() => "has a page in memory that is broken"],
};

/** Why a process was not checkpointed, in one sentence; undefined when it was. */
export function explainRefusal(name: string, { reply, raw }: ObservedCheckpoint): string | undefined {
  if (reply.result >= 0n) return undefined;
  const errno = errnoName(reply.errno);
  const text = (file: string): string => new TextDecoder().decode(raw.proc.get(file));
  const process = { status: text("status"), maps: text("maps").trimEnd().split("\n") };
  const reasons = REASONS[errno]?.map((reason) => reason(process)) ?? [];
  const why = reasons.find((reason) => reason !== undefined);
  return why === undefined
    ? `${name} could not be saved: checkpoint(2) failed with ${errno}`
    : `${name} ${why}: checkpoint(2) refuses those, ${errno}`;
}
