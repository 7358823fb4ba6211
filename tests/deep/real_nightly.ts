// SPDX-License-Identifier: MIT
/**
 * Nightly runs of real jobs in a copy of the project, with a state and temporary files of their own.
 *
 * @module
 */
import { assertEquals } from "@std/assert";
import { exists } from "@std/fs";
import { runCommand } from "../../vm/host/run_command.ts";
import type { NightlyResult } from "../../harness/nightly/nightly_result.ts";
import { type CommandOutcome, outcomeOf, ProjectCopy } from "../project_copy.ts";

/** Prints the command lines, but for its own, that hold a text. Perl may look into /proc, Deno may not. */
const LIST_PROCESSES = `for (glob "/proc/[0-9]*/cmdline") {
  next if m,/$$/, or not open(my $file, "<", $_);
  my $line = join(" ", split(/\\0/, <$file> // ""));
  print "$line\\n" if index($line, $ARGV[0]) >= 0;
}`;

/** A place for nightly runs. */
export class RealNightlyRuns implements AsyncDisposable {
  readonly copy: ProjectCopy;
  readonly #matrix: string;

  /** Use {@linkcode RealNightlyRuns.make}. */
  constructor(copy: ProjectCopy) {
    this.copy = copy;
    this.#matrix = `${copy.scratch}/matrix.json`;
  }

  /** @param jobs the `jobs` of the matrix */
  static async make(jobs: readonly unknown[]): Promise<RealNightlyRuns> {
    const runs = new RealNightlyRuns(await ProjectCopy.make());
    await Deno.writeTextFile(runs.#matrix, JSON.stringify({ jobs }));
    await Deno.mkdir(runs.temp);
    return runs;
  }

  /** Where the processes of a nightly run have their temporary files. */
  get temp(): string {
    return `${this.copy.scratch}/tmp`;
  }

  /** The directory of a nightly run. */
  pathOf(name: string): string {
    return `${this.copy.scratch}/${name}`;
  }

  /**
   * Starts a nightly run, or goes on with it.
   *
   * @param name the run's directory, and the history that it is compared with
   */
  async start(name: string, { history = name }: { history?: string } = {}): Promise<Deno.ChildProcess> {
    const hasBegun = await exists(`${this.pathOf(name)}/plan.json`);
    const resume = hasBegun ? ["--resume"] : [];
    const args = ["nightly", "--matrix", this.#matrix, "--out", this.pathOf(name), ...resume, "--keep-all"];
    const env = { XDG_STATE_HOME: this.pathOf(`state-${history}`), TMPDIR: this.temp };
    return await this.copy.spawn(args, { env });
  }

  /** Runs a nightly run to its end. */
  async finish(
    name: string,
    options: { history?: string } = {},
  ): Promise<CommandOutcome & { result: NightlyResult }> {
    const outcome = await outcomeOf(await this.start(name, options));
    const json = await Deno.readTextFile(`${this.pathOf(name)}/nightly.json`).catch(() => undefined);
    if (json === undefined) throw new Error(`no result: ${outcome.stdout}${outcome.stderr}`);
    return { ...outcome, result: JSON.parse(json) };
  }

  /** Command lines of processes that a nightly run has started. */
  async processes(): Promise<string[]> {
    const { code, lines } = await runCommand(["perl", "-e", LIST_PROCESSES, this.copy.scratch]);
    assertEquals(code, 0, lines.join("\n"));
    return lines.filter((line) => !line.startsWith("perl "));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.copy[Symbol.asyncDispose]();
  }
}
