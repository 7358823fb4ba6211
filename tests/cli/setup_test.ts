// SPDX-License-Identifier: MIT
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { denoDirectory } from "../project_copy.ts";

const SETUP = fromFileUrl(new URL("../../setup", import.meta.url));

/** A machine that exists for `setup` alone: programs in a folder that is all of its PATH. */
interface Machine {
  /** Version of Deno that is installed; none if undefined. */
  deno?: string;
  /** Version that npm would install; no npm if undefined. */
  npmDeno?: string;
  /** Packages that are not installed. */
  missing?: string[];
  /** Whether the first apt-get install fails, as with old package lists. */
  staleLists?: boolean;
  /** User id. */
  user?: number;
}

interface Outcome {
  code: number;
  output: string;
  /** Calls of apt-get and npm that change something. */
  calls: string[];
}

function denoScript(version: string): string {
  return `[ "$1" = --version ] && echo "deno ${version} (stable)"; exit 0`;
}

function scripts(machine: Machine, dir: string): Record<string, string> {
  const { deno, npmDeno, missing = [], staleLists = false, user = 0 } = machine;
  const absent = missing.map((name) => `${name}) status=1 ;;`).join(" ");
  return {
    "dpkg-query": `
      status=0
      for name; do
        case $name in -*) ;; ${absent} *) echo "$name=installed" ;; esac
      done
      exit $status`,
    "apt-get": `
      echo "apt-get $*" >>${dir}/calls
      if [ "$1" = install ] && [ ! -e ${dir}/updated ]; then exit ${staleLists ? 100 : 0}; fi
      [ "$1" != update ] || : >${dir}/updated`,
    "id": `echo ${user}`,
    ...(deno === undefined ? {} : { deno: denoScript(deno) }),
    ...(npmDeno === undefined ? {} : {
      npm: `
        if [ "$1" = prefix ]; then echo ${dir}/prefix; exit 0; fi
        echo "npm $*" >>${dir}/calls
        printf '#!/bin/sh\\n%s\\n' '${denoScript(npmDeno)}' >${dir}/deno
        /bin/chmod 755 ${dir}/deno`,
    }),
  };
}

async function runSetup(machine: Machine, ...args: string[]): Promise<Outcome> {
  const dir = await Deno.makeTempDir({ prefix: "ckptest-setup-" });
  try {
    for (const [name, script] of Object.entries(scripts(machine, dir))) {
      await Deno.writeTextFile(join(dir, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    }
    await Deno.symlink("/usr/bin/dirname", join(dir, "dirname"));
    const { code, stdout, stderr } = await new Deno.Command("sh", {
      args: ["-c", `PATH=$1; export PATH; shift; exec /bin/sh "$@"`, "sh", dir, SETUP, ...args],
      stdin: "null",
    }).output();
    const calls = await Deno.readTextFile(join(dir, "calls")).catch(() => "");
    const decoder = new TextDecoder();
    return {
      code,
      output: decoder.decode(stdout) + decoder.decode(stderr),
      calls: calls.split("\n").filter((call) => call !== ""),
    };
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

Deno.test("setup does nothing when nothing is missing", async () => {
  const { code, output, calls } = await runSetup({ deno: "2.9.6" });
  assertEquals([code, calls], [0, []]);
  assertStringIncludes(output, "nothing is missing (Deno 2.9.6)");
});

Deno.test("setup --check names what is missing, and installs nothing", async () => {
  const { code, output, calls } = await runSetup({ npmDeno: "2.9.6", missing: ["bc", "lz4"] }, "--check");
  assertEquals([code, calls], [1, []]);
  assertStringIncludes(output, "missing Debian packages: bc lz4\n");
  assertMatch(output, /missing: Deno 2\.9 or newer \(found: none\)/);
});

Deno.test("setup --check passes when nothing is missing", async () => {
  assertEquals((await runSetup({ deno: "2.9.0" }, "--check")).code, 0);
});

Deno.test("setup without root prints the commands in place of running them", async () => {
  const { code, output, calls } = await runSetup({ missing: ["bc"], user: 1000 });
  assertEquals([code, calls], [1, []]);
  assertMatch(output, /sudo apt-get update && sudo apt-get install .*bc nodejs npm\n/);
  assertMatch(output, /sudo npm install --global .*deno@2\.9\n/);
});

Deno.test("setup installs what is missing", async () => {
  const { code, output, calls } = await runSetup({ npmDeno: "2.9.6", missing: ["bc", "util-linux"] });
  assertEquals(code, 0, output);
  assertMatch(calls.join("\n"), /^apt-get install .* bc util-linux\nnpm install --global .* deno@2\.9$/);
  assertStringIncludes(output, "installed Deno 2.9.6");
});

Deno.test("setup updates the package lists only when an installation fails", async () => {
  const { code, calls } = await runSetup({ deno: "2.9.6", missing: ["bc"], staleLists: true });
  assertEquals([code, calls.map((call) => call.split(" ")[1])], [0, ["install", "update", "install"]]);
});

Deno.test("setup replaces a Deno that is too old and keeps one that is newer", async () => {
  for (const old of ["1.46.3", "2.8.9"]) {
    const { code, calls } = await runSetup({ deno: old, npmDeno: "2.9.6" });
    assertEquals([code, calls.length], [0, 1], old);
  }
  for (const newer of ["2.10.0", "3.0.0"]) {
    assertEquals(await runSetup({ deno: newer }).then(({ code }) => code), 0, newer);
  }
});

Deno.test("setup fails when npm brings a Deno that is too old", async () => {
  const { code, output } = await runSetup({ npmDeno: "2.1.0" });
  assertEquals(code, 1);
  assertStringIncludes(output, `gives "2.1.0"`);
});

Deno.test("setup refuses options that it does not know", async () => {
  assertEquals((await runSetup({ deno: "2.9.6" }, "--chekc")).code, 2);
});

Deno.test("setup --link makes a program that runs this checkout from anywhere, and names itself", async () => {
  const dir = await Deno.makeTempDir({ prefix: "ckptest-link-" });
  try {
    const tree = join(dir, "linux");
    await Deno.mkdir(tree);
    await Deno.writeTextFile(join(tree, "Makefile"), "all:\n");
    const sh = (script: string, env: Record<string, string> = {}) =>
      new Deno.Command("sh", { args: ["-c", script], cwd: tree, env, stdin: "null" }).output();
    const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    const bin = join(dir, "my bin");
    const linked = await sh(`"${SETUP}" --link "${bin}"`);
    assertEquals(linked.code, 0, text(linked.stderr));
    assertStringIncludes(text(linked.stdout), `${bin} is not in PATH`);
    const ckptest = `DENO_DIR='${denoDirectory()}' XDG_CACHE_HOME='${dir}/cache' '${bin}/ckptest'`;
    const listed = await sh(`${ckptest} list`);
    assertMatch(text(listed.stdout), /^\d+ scenarios$/m);
    // Paths begin where the user is, whatever task started the shell.
    const built = await sh(`${ckptest} kernel --kernel-tree .`, { INIT_CWD: "/" });
    assertEquals(built.code, 3);
    assertStringIncludes(text(built.stderr), `${tree} is no kernel source tree`);
    const piped = await sh(`${ckptest} list | head -n 1`);
    assertEquals([text(piped.stdout).split("\n").length, text(piped.stderr)], [2, ""]);
    const homeless = await sh(
      `unset HOME; DENO_DIR='${denoDirectory()}' XDG_CACHE_HOME= '${bin}/ckptest' run minimal`,
    );
    assertEquals(homeless.code, 2);
    assertMatch(text(homeless.stderr), /^ckptest run: no place for the cache: .*\n$/);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
});
