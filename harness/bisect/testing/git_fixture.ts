// SPDX-License-Identifier: MIT

import { dirname, join } from "@std/path";
import { gitCommand, runGit } from "../../../vm/host/run_git.ts";

/** Files by path; null removes one. */
type FileChanges = Readonly<Record<string, string | null>>;

const ENVIRONMENT = { GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1" };
const IDENTITY = ["-c", "user.name=Ada Byron", "-c", "user.email=ada@example.org"];

/** A repository in a new directory below one that has other files, too. */
export class GitFixture implements AsyncDisposable {
  readonly path: string;

  /** Use {@linkcode GitFixture.make}. */
  constructor(path: string) {
    this.path = path;
  }

  static async make(): Promise<GitFixture> {
    const fixture = new GitFixture(await Deno.makeTempDir({ prefix: "ckptest-git-" }));
    await Deno.mkdir(fixture.work);
    await fixture.git("init", "--quiet", "--initial-branch=main");
    return fixture;
  }

  /** The working tree. */
  get work(): string {
    return join(this.path, "work");
  }

  async git(...args: string[]): Promise<string> {
    return (await runGit([...IDENTITY, ...args], { cwd: this.work, env: ENVIRONMENT })).trim();
  }

  /** Commits changes and gives the hash. */
  async commit(title: string, files: FileChanges): Promise<string> {
    for (const [file, text] of Object.entries(files)) {
      const path = join(this.work, file);
      if (text === null) await Deno.remove(path);
      else {
        await Deno.mkdir(dirname(path), { recursive: true });
        await Deno.writeTextFile(path, text);
      }
    }
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--allow-empty", `--message=${title}`);
    return await this.git("rev-parse", "HEAD");
  }

  /** Makes commits that are not checked out, by one process, and gives their hashes. */
  async commits(
    commits: readonly { title: string; files: Readonly<Record<string, string>> }[],
  ): Promise<string[]> {
    const data = (text: string): string => `data ${text.length}\n${text}\n`;
    const stream = commits.map(({ title, files }) => [
      "commit refs/heads/main\n",
      `committer Ada Byron <ada@example.org> 1767222000 +0000\n${data(title)}`,
      ...Object.entries(files).map(([path, text]) => `M 100644 inline ${path}\n${data(text)}`),
    ]).flat().join("");
    await Deno.writeTextFile(join(this.path, "stream"), stream);
    const child = gitCommand(["fast-import", "--quiet"], { cwd: this.work, stdin: "piped" }).spawn();
    const file = await Deno.open(join(this.path, "stream"));
    await file.readable.pipeTo(child.stdin);
    const { success } = await child.status;
    if (!success) throw new Error("git fast-import failed");
    return (await this.git("rev-list", "--reverse", "main")).split("\n");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}
