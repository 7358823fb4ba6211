// SPDX-License-Identifier: MIT

import { printable, printableLine } from "../../lib/printable.ts";

const encoder = new TextEncoder();

/** Colours by what they mean. */
const STYLES = { pass: "32", fail: "31", skip: "33", dim: "2", bold: "1" } as const;

type Environment = Pick<Deno.Env, "get">;

/** Whether escape sequences may go to a stream. */
function isCapable(stream: Stream, env: Environment): boolean {
  return stream.isTerminal() && env.get("TERM") !== "dumb";
}

/** What a {@linkcode Terminal} writes to, as standard output and standard error are. */
interface Stream {
  isTerminal(): boolean;
  writeSync(bytes: Uint8Array): number;
}

/**
 * Results go to standard output, progress to standard error: a status line that is written over on a
 * terminal, plain lines elsewhere. All of it passes printable(): names, findings and the console of a guest must not
 * steer the terminal.
 */
export class Terminal {
  readonly #out: Stream;
  readonly #err: Stream;
  readonly #statusOnTerminal: boolean;
  readonly #colour: boolean;
  /** Stands for the escape sequence of our own colours; no guest can know it. */
  readonly #mark = crypto.randomUUID();
  /** Told once that nobody reads standard output any more, which is silent from then on; by default that is thrown. */
  onBrokenPipe: ((error: Error) => void) | undefined;
  #isUnread = false;
  #status = "";
  #lastPlain = "";

  /** Whether only failures and the summary are of interest. */
  isQuiet = false;

  constructor({ out = Deno.stdout, err = Deno.stderr, env = Deno.env }: {
    out?: Stream;
    err?: Stream;
    env?: Environment;
  } = {}) {
    this.#out = out;
    this.#err = err;
    this.#statusOnTerminal = isCapable(err, env);
    // NO_COLOR (https://no-color.org) and then FORCE_COLOR have the last word.
    const forced = env.get("FORCE_COLOR");
    this.#colour = !env.get("NO_COLOR") && (forced ? forced !== "0" : isCapable(out, env));
  }

  result(line: string): void {
    this.#clearStatus();
    this.#print(`${line}\n`);
    this.#drawStatus();
  }

  #print(text: string): void {
    if (this.#isUnread) return;
    try {
      write(this.#out, printable(text).replaceAll(this.#mark, "\x1b["));
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe && this.onBrokenPipe)) throw error;
      this.#isUnread = true;
      this.onBrokenPipe(error);
    }
  }

  /** Writes a line about what went on, beside the result. */
  note(line: string): void {
    this.#clearStatus();
    tell(this.#err, `${printable(line)}\n`);
    this.#drawStatus();
  }

  /** Shows what is going on. Off a terminal only every new `stage` is a line. */
  status(text: string, stage = text): void {
    if (this.isQuiet) return;
    if (this.#statusOnTerminal) {
      this.#clearStatus();
      this.#status = text;
      this.#drawStatus();
    } else if (stage !== this.#lastPlain) {
      this.#lastPlain = stage;
      tell(this.#err, `${printable(text)}\n`);
    }
  }

  clearStatus(): void {
    this.#clearStatus();
    this.#status = "";
  }

  style(text: string, style: keyof typeof STYLES): string {
    return this.#colour ? `${this.#mark}${STYLES[style]}m${text}${this.#mark}0m` : text;
  }

  #clearStatus(): void {
    if (this.#statusOnTerminal && this.#status) tell(this.#err, "\r\x1b[K");
  }

  #drawStatus(): void {
    if (!this.#statusOnTerminal || !this.#status) return;
    const width = Deno.consoleSize().columns - 1;
    tell(this.#err, printableLine(this.#status).slice(0, width));
  }
}

/** To standard error, where a full disk or a reader that is gone must end nothing. */
function tell(stream: Stream, text: string): void {
  try {
    write(stream, text);
  } catch {
    // Nobody can be told.
  }
}

function write(stream: Stream, text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
}
