// SPDX-License-Identifier: MIT

import { errnoName, errnoNumber } from "../../abi/errno.ts";
import type { ExpectedV11Vma } from "./expected_vmas.ts";
import type { CheckpointCall, V11Manifest } from "./manifest.ts";
import type { Cut } from "./v11_context.ts";

/** What the end of an image depends on. */
interface RefusedCallOptions {
  readonly manifest: V11Manifest;
  readonly vmas: readonly ExpectedV11Vma[];
  /** The call wrote something: an errno alone does not always tell. */
  readonly hasOutput: boolean;
}

/**
 * Where the image of a call ends, by its result. As posted: flags, descriptor and memory are looked at
 * before anything is written; a mapping that cannot be saved is refused before its record; a file without a
 * name after its record.
 */
export function cutOf(
  call: CheckpointCall | undefined,
  { manifest, vmas, hasOutput }: RefusedCallOptions,
): Cut {
  if (call === undefined || call.result >= 0) return { kind: "none" };
  const why = errnoName(-call.result);
  switch (-call.result) {
    case errnoNumber("EINVAL"):
      return { kind: "empty", why };
    case errnoNumber("ENOSYS"): {
      const index = vmas.findIndex(({ entry }) => entry.perms[3] === "s");
      return { kind: "beforeVma", index: index < 0 ? undefined : index, why };
    }
    case errnoNumber("EBADF"): {
      if (!hasOutput && call.fd < 0) return { kind: "empty", why };
      // A new root of which the manifest does not tell the path: the program itself lies outside.
      const isMoved = manifest.steps.some(({ op }) => op === "chroot");
      const index = isMoved ? vmas.findIndex(({ isFile }) => isFile) : -1;
      return { kind: "afterVma", index: index < 0 ? undefined : index, why };
    }
    case errnoNumber("ENAMETOOLONG"):
      return { kind: "afterVma", index: undefined, why };
    default:
      return { kind: "anywhere", why };
  }
}
