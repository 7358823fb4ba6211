// SPDX-License-Identifier: MIT

import type { StepContext } from "./step_context.ts";
import type { StepOf } from "./steps.ts";

const PR_SET_DUMPABLE = 4n;

/** Who a target is for those who want to look into it (ptrace_may_access, kernel/ptrace.c). */
export interface Credentials {
  /** The only user and group it has. */
  readonly uid: number;
  readonly gid: number;
  /** Whether its owner may look. */
  readonly dumpable: boolean;
}

/** setresgid(2) and setresuid(2): becomes another user, and with that nobody's to look into but root's. */
export function becomeStep(step: StepOf<"become">, { state, builder }: StepContext): void {
  if (state.credentials.uid !== 0) throw new RangeError("Only root can become another user");
  const { uid, gid = uid } = step;
  builder.syscall("setresgid", [BigInt(gid), BigInt(gid), BigInt(gid)], { expected: 0n });
  builder.syscall("setresuid", [BigInt(uid), BigInt(uid), BigInt(uid)], { expected: 0n });
  // commit_creds (kernel/cred.c): where an effective id changed.
  const changed = uid !== 0 || gid !== state.credentials.gid;
  state.credentials = { uid, gid, dumpable: state.credentials.dumpable && !changed };
}

/** prctl(PR_SET_DUMPABLE). */
export function dumpableStep(step: StepOf<"dumpable">, { state, builder }: StepContext): void {
  builder.syscall("prctl", [PR_SET_DUMPABLE, BigInt(step.value)], { expected: 0n });
  state.credentials = { ...state.credentials, dumpable: step.value === 1 };
}
