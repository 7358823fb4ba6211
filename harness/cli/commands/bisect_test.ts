// SPDX-License-Identifier: MIT

import { assertEquals, assertThrows } from "@std/assert";
import { resolve } from "@std/path";
import { UsageError } from "../../../vm/host/errors.ts";
import type { BisectRequest } from "../../bisect/bisect_state.ts";
import { parseBisectRequest } from "./bisect.ts";

/** It has a Makefile. */
const TREE = "vm/kernel/overlay/checkpoint";

function parse(...args: string[]): BisectRequest {
  return parseBisectRequest(args);
}

function refused(text: string, ...args: string[]): void {
  assertThrows(() => parse(...args), UsageError, text);
}

Deno.test("a bisect of patches needs their directory alone", () => {
  assertEquals(parse("--patches", "/p"), {
    source: {
      kind: "patches",
      directory: "/p",
      base: { kind: "debian", series: "6.1" },
      good: undefined,
      bad: undefined,
    },
    ...{ platform: "x86_64", flavour: "plain", suite: { kind: "catalogue", filter: [] } },
    ...{ confidence: 0.99, maxRuns: 30, deadlineSeconds: 7200 },
  });
  const { source, suite } = parse("--patches", "/p", "--kernel-tree", TREE, "--good", "6", "--filter", "a");
  assertEquals(source, {
    ...{ kind: "patches", directory: "/p", good: "6", bad: undefined },
    base: { kind: "directory", path: resolve(TREE) },
  });
  assertEquals(suite, { kind: "catalogue", filter: ["a"] });
});

Deno.test("a bisect of commits needs repository and ends; a URL stays as it is", () => {
  const ends = ["--good", "v1", "--bad", "v2"];
  const { source } = parse("--git", "https://example.org/linux.git", ...ends, "--first-parent");
  assertEquals(source, {
    ...{ kind: "git", repository: "https://example.org/linux.git", good: "v1", bad: "v2", firstParent: true },
  });
  refused("option --bad is missing", "--git", "/k", "--good", "v1");
  refused("option --series goes with --patches", "--git", "/k", ...ends, "--series", "6.1");
});

Deno.test("options that are wrong or do not fit together are named", () => {
  refused("expected either --git or --patches: found neither");
  refused("found both", "--git", "/k", "--patches", "/p");
  refused(
    "option --arch takes x86_64, i386, i386-pae, compat, x86_64-nofsgsbase",
    "--patches",
    "/p",
    "--arch",
    "arm",
  );
  refused("takes a number from 0.5 to 0.9999", "--patches", "/p", "--confidence", "1");
  refused("takes a number from 0.5 to 0.9999", "--patches", "/p", "--confidence", "0.1");
  refused("--suite faults needs --flavour", "--patches", "/p", "--suite", "faults");
  refused("option --seed goes with --suite fuzz", "--patches", "/p", "--seed", "1");
  refused("option --filter goes with", "--patches", "/p", "--suite", "fuzz", "--filter", "a");
  refused("option --deadline takes a time", "--patches", "/p", "--deadline", "soon");
  refused("either --series or --kernel-tree", "--patches", "/p", "--series", "6.1", "--kernel-tree", TREE);
});
