// SPDX-License-Identifier: MIT

import type { LdtModel, ModifyLdtResult } from "../../../lib/x86/ldt_model.ts";
import { callArguments, type LdtCall } from "../ldt_calls.ts";

/** What `runLdtCalls` saw. */
interface LdtRun {
  /** The LDT at the end. */
  readonly model: LdtModel;
  /** For each step its result; undefined for fork, exec and load. */
  readonly results: readonly (ModifyLdtResult | undefined)[];
}

/** Runs a sequence on a copy of `model`, which is not changed. */
export function runLdtCalls(model: LdtModel, calls: readonly LdtCall[]): LdtRun {
  let current = model.fork();
  const results = calls.map((step): ModifyLdtResult | undefined => {
    switch (step.call) {
      case "modify_ldt": {
        const { ptr, bytecount } = callArguments(step);
        return current.modifyLdt(step.func, ptr, bytecount);
      }
      case "fork":
        current = current.fork();
        return undefined;
      case "exec":
        current = current.exec();
        return undefined;
      case "load":
        current.selectorLoaded(step.selector, step.register);
        return undefined;
    }
  });
  return { model: current, results };
}
