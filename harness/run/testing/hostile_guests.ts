// SPDX-License-Identifier: MIT
/**
 * Guests that do whatever they can to the harness, over real sockets: each runs one scenario of a real run, and a line
 * of JSON says how it ended, what it took and how much memory was used.
 *
 * @module
 */
import { join } from "@std/path";
import { blockHashHex } from "../../../lib/abi/block_hash.ts";
import { formatCommand } from "../../../vm/agent/agent_protocol.ts";
import { AgentSession } from "../../../vm/agent/agent_session.ts";
import { LineQueue, writeAll } from "../../../vm/agent/byte_channel.ts";
import { linkOver } from "../../../vm/agent/testing/memory_link.ts";
import { makeTempDirectory } from "../../../vm/host/temp_directory.ts";
import { ConsoleLog } from "../../../vm/qemu/console_log.ts";
import { Terminal } from "../../report/terminal.ts";
import type { Guest } from "../guest/guest.ts";
import { runPlatform } from "../run_platform.ts";
import { RunReport } from "../run_report.ts";
import { fakePrepared, RECORDED } from "./fake_guest.ts";

/** Longest wait for one answer; the run of a guest that is silent everywhere takes a few of them. */
const DEADLINE_MS = 1000;
const MIB = 1 << 20;
const { raw, image, kernel } = RECORDED;
const encoder = new TextEncoder();

/** What an agent answers: blobs, bytes of an image, and the last line; a line of undefined is silence. */
interface Reply {
  readonly blobs?: readonly (readonly [name: string, bytes: Uint8Array])[];
  readonly stream?: Uint8Array;
  readonly line?: string | undefined;
  /** Done in place of an answer. */
  readonly instead?: (guest: HostileGuest) => Promise<unknown>;
}
type Answers = (word: string, fields: ReadonlyMap<string, string>, count: number) => Reply | undefined;

/** A value as the protocol has it. */
function escapeValue(value: string): string {
  return formatCommand("x", [["v", value]]).slice("x v=".length);
}

const RELEASE = `release=6.1.0 version=${escapeValue(kernel.version)} machine=${kernel.machine}`;
const HELLO = `hello protocol=2 arch=x86_64 word_size=8 ${RELEASE} zero_page_frame=${kernel.zeroFrame ?? 0n}`;
const ENDED = `seconds_before=${raw.t0} seconds_after=${raw.t1} nanoseconds=1`;

function streamOf(bytes: Uint8Array, more = "result=1"): Reply {
  return {
    stream: bytes,
    line: `ok caller=60 ${more} length=${bytes.length} hash=${blockHashHex(bytes)} ${ENDED}`,
  };
}

/** What a guest without ill will answers. */
function honest(word: string, fields: ReadonlyMap<string, string>): Reply {
  switch (word) {
    case "exec":
      return { line: `ok pid=${raw.pid} stdout=/o stderr=/e` };
    case "quiesce":
      return { line: "ok state=S" };
    case "readfile":
      return { blobs: [["file", encoder.encode("flags\t\t: fpu\n")]], line: "ok" };
    case "observe":
      return {
        blobs: fields.get("what")!.split(",").map((name) => {
          const plain = name.replace("?", "");
          return [plain, raw.proc.get(plain.endsWith("/stat") ? "stat" : plain) ?? new Uint8Array(0)];
        }),
        line: "ok",
      };
    case "checkpoint":
      return streamOf(image);
    case "regs":
      return { blobs: [...raw.registers], line: "ok" };
    case "pagehash":
      return { blobs: [["pagehash", new Uint8Array(8 * Number(fields.get("count")))]], line: "ok" };
    default:
      return { line: "ok" };
  }
}

function closeAll(conns: readonly Deno.Conn[]): void {
  for (const conn of conns) {
    try {
      conn.close();
    } catch {
      // Closed already.
    }
  }
}

/** The guest's side of both ports, and its console. */
class HostileGuest {
  readonly console = new ConsoleLog();
  readonly control: Deno.Conn;
  readonly data: Deno.Conn;
  isOver = false;

  constructor(control: Deno.Conn, data: Deno.Conn) {
    this.control = control;
    this.data = data;
  }

  print(text: string): void {
    const bytes = encoder.encode(text);
    // As they come over a socket.
    for (let at = 0; at < bytes.length; at += 65536) this.console.append(bytes.subarray(at, at + 65536));
  }

  async say(line: string): Promise<void> {
    await writeAll(this.control, encoder.encode(`${line}\n`));
  }

  /** Sends the same again and again, until nobody listens any more. */
  async flood(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
    while (!this.isOver) await writeAll(conn, bytes);
  }

  close(): void {
    this.isOver = true;
    closeAll([this.control, this.data]);
  }

  async serve(answers: Answers, hello = HELLO): Promise<void> {
    await this.say(hello);
    const lines = new LineQueue(this.control, 4096, () => {});
    for (let count = 0; !this.isOver; count++) {
      const [word = "", ...words] = (await lines.next()).split(" ");
      const fields = new Map(words.map((one) => one.split("=", 2) as [string, string]));
      if (word === "writefile" || word === "pagehash") {
        const size = word === "writefile" ? Number(fields.get("length")) : 8 * Number(fields.get("count"));
        const payload = new Uint8Array(size);
        for (let at = 0; at < size;) at += await this.data.read(payload.subarray(at)) ?? size;
        if (fields.get("path") === "/dev/kmsg") {
          this.print(`[    9.000000] ${new TextDecoder().decode(payload.subarray(3))}`);
        }
      }
      const { blobs = [], stream, line, instead } = answers(word, fields, count) ?? honest(word, fields);
      if (instead) await instead(this);
      for (const [name, bytes] of blobs) {
        await this.say(`blob name=${name} length=${bytes.length} hash=${blockHashHex(bytes)}`);
        await writeAll(this.data, bytes);
      }
      if (stream) await writeAll(this.data, stream);
      if (line !== undefined) await this.say(line);
    }
  }
}

/** A guest that answers one command in another way. */
function to(command: string, reply: Reply | ((word: string) => Reply)): Answers {
  return (word) => word === command ? typeof reply === "function" ? reply(word) : reply : undefined;
}

/** A guest whose look at the target shows other files. */
function showing(files: Readonly<Record<string, Uint8Array | string>>): Answers {
  return (word, fields) => {
    if (word !== "observe") return undefined;
    const { blobs = [], line } = honest(word, fields);
    const bytesOf = (value: Uint8Array | string) => typeof value === "string" ? encoder.encode(value) : value;
    return {
      blobs: blobs.map(([name, bytes]) => {
        const other = files[name.endsWith("/stat") ? "stat" : name];
        return [name, other === undefined ? bytes : bytesOf(other)];
      }),
      line,
    };
  };
}

function noise(length: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => (state = Math.imul(state, 1103515245) + 12345 | 0) >>> 16);
}

/** An image with some of its bytes changed. */
function changed(change: (bytes: Uint8Array) => void): Reply {
  const bytes = image.slice();
  change(bytes);
  return streamOf(bytes);
}

const ESCAPES = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2028\nok    x86_64    all is well";
const LINE = encoder.encode("ok\n".repeat(1000));
const ZEROS = new Uint8Array(MIB);
const WARNING = "[    1.000000] WARNING: CPU: 0 PID: 7 at x.c:1 f+0x1/0x2\n";
const MAPS = "1000-2000 rw-p 00000000 00:00 0 \n";

/** Prints while a checkpoint is made, and goes on as an honest guest does. */
function printing(text: string | (() => string)): Answers {
  return to("checkpoint", {
    ...streamOf(image),
    instead: (guest) => Promise.resolve(guest.print(typeof text === "string" ? text : text())),
  });
}

/** By what they do. */
export const HOSTILE_GUESTS: Readonly<Record<string, Answers | { hello: string }>> = {
  "says nothing at all": { hello: "" },
  "says hello without end": { hello: `${HELLO} ${"x=1 ".repeat(3000)}` },
  "says hello in escape sequences": { hello: HELLO.replace("6.1.0", escapeValue(`6.1${ESCAPES}`)) },
  "has words of 3 bytes": { hello: HELLO.replace("word_size=8", "word_size=3") },
  "has a release of its own": { hello: HELLO.replace("6.1.0", "9999999999.1") },
  "never answers": to("exec", {}),
  "answers another word": to("exec", { line: "yes pid=1" }),
  "answers with binary": to("exec", { line: String.fromCharCode(...noise(200)).replaceAll("\n", "x") }),
  "answers with a bad percent": to("exec", { line: "ok pid=%zz stdout=%" }),
  "answers an error of escape sequences": to("exec", {
    line: `err errno=999999 what=${escapeValue(ESCAPES)}`,
  }),
  "answers a number that is too large": to("exec", { line: `ok pid=${"9".repeat(400)} stdout=/o stderr=/e` }),
  "answers a negative pid": to("exec", { line: "ok pid=-1 stdout=/o stderr=/e" }),
  "answers a line without end": to("exec", {
    instead: (guest) => guest.flood(guest.control, encoder.encode("x")),
  }),
  "floods its control port": to("exec", { instead: (guest) => guest.flood(guest.control, LINE) }),
  "floods its data port": to("exec", { instead: (guest) => guest.flood(guest.data, ZEROS) }),
  "closes its ports": to("exec", { instead: (guest) => Promise.resolve(guest.close()) }),
  "closes its data port": to("exec", { instead: (guest) => Promise.resolve(guest.data.close()) }),
  "closes its control port in a blob": to("readfile", {
    instead: async (guest) => {
      await guest.say("blob name=file length=9 hash=0000000000000000");
      guest.control.close();
    },
  }),
  "announces a blob of a terabyte": to("readfile", { line: `blob name=file length=${2 ** 40} hash=00` }),
  "announces a blob of less than nothing": to("readfile", { line: "blob name=file length=-8 hash=00" }),
  "announces blobs without end": to("readfile", {
    instead: (guest) => guest.flood(guest.control, encoder.encode("blob name=x length=0 hash=00\n")),
  }),
  "sends a blob with another digest": to("readfile", {
    instead: (guest) => writeAll(guest.data, ZEROS.subarray(0, 8)),
    line: "blob name=file length=8 hash=0123456789abcdef",
  }),
  "sleeps for ever": to("quiesce", { line: "ok state=Z" }),
  "sends an image without end": to("checkpoint", { instead: (guest) => guest.flood(guest.data, ZEROS) }),
  "sends an image of 40 MiB of zeros": to("checkpoint", streamOf(new Uint8Array(40 * MIB))),
  "sends an image of noise": to("checkpoint", streamOf(noise(MIB))),
  "sends half an image": to("checkpoint", streamOf(image.subarray(0, image.length >> 1))),
  "sends an image with its bytes turned round": to("checkpoint", streamOf(image.slice().reverse())),
  "sends an image of nested lengths": to("checkpoint", changed((bytes) => bytes.fill(0xff, 8, 400))),
  "sends an image whose counts are huge": to(
    "checkpoint",
    changed((bytes) => {
      for (let at = 0; at + 4 < bytes.length; at += 97) bytes[at] = 0x7f;
    }),
  ),
  "says that the call gave a number of its own": to(
    "checkpoint",
    streamOf(image, `result=${2n ** 63n - 1n}`),
  ),
  "shows maps that are no maps": showing({ maps: ESCAPES }),
  "shows 300,000 mappings": showing({ maps: MAPS.repeat(300_000) }),
  "shows smaps of 20 MiB": showing({ smaps: `${MAPS}Rss: 4 kB\n`.repeat(20 * MIB / 45) }),
  "shows a stat of noise": showing({ stat: noise(500) }),
  "shows a name of escape sequences": showing({ comm: ESCAPES }),
  "shows half a page entry": showing({ pages: noise(24) }),
  "shows a million pages": showing({ pages: noise(16 * MIB) }),
  "shows no registers": to("regs", {
    blobs: [...raw.registers.keys()].map((name) => [name, new Uint8Array(0)]),
    line: "ok",
  }),
  "shows registers of noise": to("regs", {
    blobs: [...raw.registers].map(([name, { length }]) => [name, noise(length)]),
    line: "ok",
  }),
  "shows fewer digests": to("pagehash", { blobs: [["pagehash", new Uint8Array(8)]], line: "ok" }),
  "floods its console": printing(() => `${WARNING}${"   x\n".repeat(4.5 * MIB / 5)}`),
  "floods its console with empty lines": printing(() => "\n".repeat(12 * MIB)),
  "complains 100,000 times": printing(() => WARNING.repeat(100_000)),
  "prints escape sequences": printing(`${WARNING}[    1.000000] ${ESCAPES}\n`),
  "prints one line of 8 MiB": printing(() => "BUG: KASAN: ".repeat(8 * MIB / 12)),
  "prints a mark that is not ours": printing("[    9.000000] ckptest: end of sh (2)\n"),
};

async function startGuest(behaviour: Answers | { hello: string }): Promise<Guest> {
  const directory = await makeTempDirectory("ckptest-hostile-");
  const pairs = await Promise.all(["control", "data"].map(async (name) => {
    const path = join(directory, name);
    using listener = Deno.listen({ transport: "unix", path });
    const [ours, theirs] = await Promise.all([listener.accept(), Deno.connect({ transport: "unix", path })]);
    return [ours, theirs] as const;
  }));
  await Deno.remove(directory, { recursive: true });
  const [[control, theirControl], [data, theirData]] = [pairs[0]!, pairs[1]!];
  const guest = new HostileGuest(theirControl, theirData);
  const [answers, hello] = typeof behaviour === "function"
    ? [behaviour, HELLO]
    : [() => undefined, behaviour.hello];
  guest.serve(answers, hello).catch(() => {});
  const close = (): void => {
    guest.close();
    closeAll([control, data]);
  };
  try {
    const options = { deadlineMs: DEADLINE_MS, bootDeadlineMs: DEADLINE_MS };
    const agent = await AgentSession.connect(linkOver(control, data), options);
    return {
      ...{ agent, bootMilliseconds: 1, command: "qemu", console: guest.console },
      ended: new Promise(() => {}),
      [Symbol.asyncDispose]: () => Promise.resolve(close()),
    };
  } catch (error) {
    close();
    throw error;
  }
}

const SCENARIO = { name: "sh", about: "A shell.", program: { argv: ["/bin/sh"] as const } };

if (import.meta.main) {
  const [name = "", out = ""] = Deno.args;
  let most = 0;
  const watch = setInterval(() => most = Math.max(most, Deno.memoryUsage().rss), 5);
  const begin = performance.now();
  const report = await RunReport.open({ directory: out, terminal: new Terminal(), task: ["test:qemu"] });
  const prepared = fakePrepared(() => startGuest(HOSTILE_GUESTS[name]!));
  report.beginPlatform({ ...prepared, name: "x86_64" });
  await runPlatform(prepared, [SCENARIO], report, { repeat: 0 });
  const { counts } = await report.close();
  clearInterval(watch);
  const [milliseconds, mib] = [performance.now() - begin, Math.max(most, Deno.memoryUsage().rss) / MIB];
  console.error(JSON.stringify({ counts, milliseconds: Math.round(milliseconds), mib: Math.round(mib) }));
  Deno.exit(0);
}
