// SPDX-License-Identifier: MIT

const encoder = new TextEncoder();

/** Colours by what they mean. */
const STYLES = { pass: "32", fail: "31", skip: "33", dim: "2", bold: "1" } as const;

/** Whether a stream may be coloured: a terminal, and NO_COLOR (https://no-color.org) is not set. */
function mayColour(stream: { isTerminal(): boolean }): boolean {
  return stream.isTerminal() && !Deno.env.get("NO_COLOR");
}

/**
 * Results go to standard output, progress to standard error: a status line that is written over on a
 * terminal, plain lines elsewhere.
 */
export class Terminal {
  readonly #statusOnTerminal = Deno.stderr.isTerminal();
  readonly #colour = mayColour(Deno.stdout);
  /** Told once that nobody reads standard output any more, which is silent from then on; by default that is thrown. */
  onBrokenPipe: ((error: Error) => void) | undefined;
  #isUnread = false;
  #status = "";
  #lastPlain = "";

  result(line: string): void {
    this.#clearStatus();
    this.#print(`${line}\n`);
    this.#drawStatus();
  }

  #print(text: string): void {
    if (this.#isUnread) return;
    try {
      write(Deno.stdout, text);
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe && this.onBrokenPipe)) throw error;
      this.#isUnread = true;
      this.onBrokenPipe(error);
    }
  }

  /** Writes a line about what went on, beside the result. */
  note(line: string): void {
    this.#clearStatus();
    write(Deno.stderr, `${line}\n`);
    this.#drawStatus();
  }

  /** Shows what is going on. Off a terminal only every new `stage` is a line. */
  status(text: string, stage = text): void {
    if (this.#statusOnTerminal) {
      this.#clearStatus();
      this.#status = text;
      this.#drawStatus();
    } else if (stage !== this.#lastPlain) {
      this.#lastPlain = stage;
      write(Deno.stderr, `${text}\n`);
    }
  }

  clearStatus(): void {
    this.#clearStatus();
    this.#status = "";
  }

  /** Colours a text of the result. */
  style(text: string, style: keyof typeof STYLES): string {
    return this.#colour ? `\x1b[${STYLES[style]}m${text}\x1b[0m` : text;
  }

  #clearStatus(): void {
    if (this.#statusOnTerminal && this.#status) write(Deno.stderr, "\r\x1b[K");
  }

  #drawStatus(): void {
    if (!this.#statusOnTerminal || !this.#status) return;
    const width = Deno.consoleSize().columns - 1;
    write(Deno.stderr, this.#status.slice(0, width));
  }
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) at += stream.writeSync(bytes.subarray(at));
}
