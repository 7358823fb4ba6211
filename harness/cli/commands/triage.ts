// SPDX-License-Identifier: MIT

import { EXIT_STATUS, type ExitStatus, UsageError } from "../../../vm/host/errors.ts";
import { splatRecord, splatText } from "../../run/result_text.ts";
import { splatDecoder } from "../../triage/decode_frames.ts";
import { triageLog } from "../../triage/triage_log.ts";
import { type Command, defineCommand, existing, flag, value, word } from "../options.ts";

const ELF_MAGIC = "\x7fELF";

const VMLINUX = existing("FILE", "a kernel as the linker left it, an ELF file", (path) => {
  using file = Deno.openSync(path);
  const start = new Uint8Array(ELF_MAGIC.length);
  return file.readSync(start) === start.length && String.fromCharCode(...start) === ELF_MAGIC;
});

/** `triage`: the complaints in a kernel log; needs no guest. */
export const triageCommand: Command = defineCommand({
  log: word("LOG", "a kernel log, of a console, dmesg or the journal; - is standard input"),
  vmlinux: value(VMLINUX, "the kernel that wrote it: stacks get lines of the source"),
  json: flag("the same as JSON"),
}, {
  about: "find oopses, warnings, reports of KASAN and lockdep and the like in a kernel log",
  async run({ log, vmlinux, json }, { terminal }): Promise<ExitStatus> {
    const splats = await triageLog(await openLog(log));
    const decode = vmlinux === undefined ? undefined : splatDecoder(vmlinux);
    const bugs = Map.groupBy(splats, ({ title, fingerprint }) => `${title} ${fingerprint}`);
    const records = await Promise.all(
      bugs.values().map(async (all) => {
        const [splat] = all;
        return { ...splatRecord(splat!, await decode?.(splat!)), count: all.length };
      }),
    );
    if (json) terminal.result(JSON.stringify({ log, splats: records }, null, 2));
    for (const record of json ? [] : records) {
      const [title, ...lines] = splatText(record);
      terminal.result([`${title}${record.count > 1 ? `, ${record.count} times` : ""}`, ...lines].join("\n"));
    }
    if (!json) {
      terminal.result(`${log}: ${records.length} distinct ${records.length === 1 ? "splat" : "splats"}`);
    }
    return splats.length === 0 ? EXIT_STATUS.pass : EXIT_STATUS.testFailed;
  },
});

async function openLog(path: string): Promise<ReadableStream<string>> {
  try {
    if (path !== "-" && (await Deno.stat(path)).isDirectory) {
      throw new Deno.errors.IsADirectory("it is a directory");
    }
    const { readable } = path === "-" ? Deno.stdin : await Deno.open(path);
    return readable.pipeThrough(new TextDecoderStream());
  } catch (error) {
    throw new UsageError(`${path} cannot be read: ${(error as Error).message}`);
  }
}
