// SPDX-License-Identifier: MIT
/** Commands that are asked to end while their guests run: what they leave, and that the rest can be done. */
import { assert, assertEquals, assertMatch } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { readRunResult } from "../../harness/run/run_result.ts";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));
const CKPTEST = ["run", "-q", `--config=${ROOT}deno.json`, "-P=vm", `${ROOT}harness/cli/main.ts`];

interface Ended {
  readonly code: number;
  readonly lines: readonly string[];
  readonly stderr: string;
}

/** Runs a command with a directory for temporary files, and sends it a signal when a line says so. */
async function interrupted(
  args: readonly string[],
  tmp: string,
  when: { signal: Deno.Signal; line: RegExp; stream: "stdout" | "stderr" } | undefined,
): Promise<Ended> {
  const child = new Deno.Command("deno", {
    args: [...CKPTEST, ...args],
    env: { TMPDIR: tmp },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  let isSent = false;
  const read = async (stream: "stdout" | "stderr"): Promise<string> => {
    let text = "";
    for await (const part of child[stream].pipeThrough(new TextDecoderStream())) {
      text += part;
      if (isSent || when?.stream !== stream || !when.line.test(text)) continue;
      isSent = true;
      child.kill(when.signal);
    }
    return text;
  };
  const [stdout, stderr] = await Promise.all([read("stdout"), read("stderr")]);
  return { code: (await child.status).code, lines: stdout.trimEnd().split("\n"), stderr };
}

Deno.test("commands that are interrupted leave nothing behind, and go on where they were", async (test) => {
  const directory = await Deno.makeTempDir({ prefix: "ckptest-interrupt-" });
  const tmp = `${directory}/tmp`;
  await Deno.mkdir(tmp);
  const left = async () => (await Array.fromAsync(Deno.readDir(tmp))).map(({ name }) => name);
  try {
    await test.step("run", async () => {
      const out = `${directory}/run`;
      const run = ["run", "--arch", "x86_64", "--filter", "ldt_", "--out", out];
      const after = { signal: "SIGINT", line: /(^ok .*\n){2}/m, stream: "stdout" } as const;
      const { code, lines, stderr } = await interrupted(run, tmp, after);
      assertEquals([code, await left()], [130, []], stderr);
      assertEquals(lines.at(-3), "stopped: interrupted by SIGINT");
      assertMatch(
        lines.at(-2)!,
        /^go on with: deno task test:qemu --arch x86_64 --filter ldt_ --resume --out /,
      );
      const { results, stopped } = await readRunResult(`${out}/results.json`);
      const others = results.filter(({ status }) => status !== "pass");
      assertEquals([others, stopped], [[], "interrupted by SIGINT"]);
      const rest = await interrupted([...run, "--resume"], tmp, undefined);
      assertEquals([rest.code, await left()], [0, []], rest.stderr);
      const whole = await readRunResult(`${out}/results.json`);
      const names = whole.results.map(({ scenario }) => scenario);
      assertEquals([whole.counts.failed, new Set(names).size, whole.stopped], [0, names.length, undefined]);
      assert(names.length > results.length, `${names.length} scenarios, ${results.length} before`);
    });
    for (const kind of [[], ["--ldt"]]) {
      await test.step(["fuzz", ...kind].join(" "), async () => {
        const fuzz = ["fuzz", ...kind, "--seed", "3", "--count", "100000"];
        const after = { signal: "SIGTERM", line: /(program|sequence) \d+ of/, stream: "stderr" } as const;
        const { code, lines, stderr } = await interrupted(fuzz, tmp, after);
        assertEquals([code, await left()], [130, []], stderr);
        const [, done, skip] =
          /up to (\d+) of 100000\n.*--seed 3 --count 100000 --skip (\d+)/.exec(lines.join("\n")) ??
            [];
        assert(done !== undefined && Number(done) > 0 && skip === done, lines.join("\n"));
      });
    }
    await test.step("checkpoint, and a boot that is interrupted", async () => {
      const checkpoint = ["checkpoint", "--out", `${directory}/x.ckpt`, "--", "/bin/cat"];
      const after = { signal: "SIGINT", line: /booting the guest/, stream: "stderr" } as const;
      const { code, lines, stderr } = await interrupted(checkpoint, tmp, after);
      assertEquals([code, lines, await left()], [130, [""], []], stderr);
    });
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
