// SPDX-License-Identifier: MIT
/**
 * A run of scenarios as `ckptest run` does it, with a guest that only pretends: for tests that send it signals, or
 * close its standard output.
 *
 * @module
 */
import type { Scenario } from "../../../lib/model/scenario.ts";
import { checkpointReply } from "../../../vm/agent/testing/checkpoint_reply.ts";
import { makeTempDirectory } from "../../../vm/host/temp_directory.ts";
import { GuestLostError } from "../../../vm/qemu/guest_lost_error.ts";
import { runCommandLine } from "../../cli/command_line.ts";
import { defineCommand } from "../../cli/options.ts";
import { argsToResume, RUN_OUT_OPTIONS } from "../../cli/shared_options.ts";
import type { Guest } from "../guest/guest.ts";
import { exitStatusOf, RunReport } from "../run_report.ts";
import { runPlatform } from "../run_platform.ts";
import { fakeAgent, fakePrepared } from "./fake_guest.ts";

/** How many scenarios a run has, and what each takes, in milliseconds. */
const COUNT = 12;
const TIME = 40;
const EBUSY = 16;

const SCENARIOS = Array.from({ length: COUNT }, (_, index): Scenario => ({
  name: `scenario${String(index).padStart(2, "0")}`,
  about: "A program that is refused.",
  program: { argv: ["/bin/sh"], refused: "EBUSY" },
}));

/** A guest with a directory of its own, which is gone when the signal comes. */
async function startGuest(signal: AbortSignal): Promise<Guest> {
  const directory = await makeTempDirectory("ckptest-fake-");
  const lost = Promise.withResolvers<never>();
  lost.promise.catch(() => {});
  const end = (): void => {
    const argv = ["qemu"];
    lost.reject(new GuestLostError({ reason: "qemu-exit", awaited: "a reply", consoleTail: "", argv }));
  };
  if (signal.aborted) end();
  signal.addEventListener("abort", end);
  let text = "";
  return {
    agent: fakeAgent({}, {
      checkpoint: async () => {
        await Promise.race([lost.promise, new Promise((resolve) => setTimeout(resolve, TIME))]);
        return checkpointReply({ result: -1n, errno: EBUSY, image: new Uint8Array(0) });
      },
      // The marks of the kernel log.
      writeFile: (_, line) => Promise.resolve(void (text += String(line).slice(3))),
    }),
    ...{ bootMilliseconds: 1, command: "qemu", ended: lost.promise.catch(() => {}) },
    console: {
      start: 0,
      get offset() {
        return text.length;
      },
      text: (from) => text.slice(from),
      grown: Promise.resolve(),
    },
    [Symbol.asyncDispose]: async () => {
      await Deno.remove(directory, { recursive: true }).catch(() => {});
    },
  };
}

const COMMAND = defineCommand(RUN_OUT_OPTIONS, {
  about: "a run with a guest that pretends",
  async run({ out, resume }, { args, terminal, signal }) {
    const report = await RunReport.open({
      ...{ directory: out, resume, terminal, task: ["test:qemu"], args: argsToResume(args) },
    });
    const prepared = fakePrepared(() => startGuest(signal), signal);
    const { counts } = await report.during(signal, async () => {
      report.beginPlatform({ ...prepared, name: "x86_64" });
      await runPlatform(prepared, report.rest("x86_64", SCENARIOS), report);
    });
    return exitStatusOf(counts);
  },
});

if (import.meta.main) Deno.exit(await runCommandLine(Deno.args, { run: () => Promise.resolve(COMMAND) }));
