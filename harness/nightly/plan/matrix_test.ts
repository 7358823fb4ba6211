// SPDX-License-Identifier: MIT

import fc from "fast-check";
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { PLATFORM_NAMES } from "../../../lib/abi/arch.ts";
import { DEFAULT_SERIES, PORTED_SERIES } from "../../../lib/abi/series.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import { KERNEL_FLAVOURS } from "../../../vm/kernel/config/kernel_flavour.ts";
import { readMutants } from "../../mutants/mutant.ts";
import { DEFAULT_MATRIX, expandMatrix, parseJsonc, parseMatrix, readMatrix, SUITES } from "./matrix.ts";

const PRODUCT = { kernels: [{ debian: "6.1" }], platforms: ["x86_64"], suites: ["catalogue"] };

function parse(value: unknown): ReturnType<typeof parseMatrix> {
  return parseMatrix(JSON.stringify(value), "dir/m.json");
}

async function names(value: unknown): Promise<string[]> {
  return expandMatrix(await parse(value)).map(({ name }) => name);
}

async function refuse(value: unknown, says: string): Promise<void> {
  await assertRejects(() => parse(value), UsageError, says);
}

Deno.test("the project's own matrix leaves out no series, platform, flavour, suite or mutant", async () => {
  const jobs = expandMatrix(await readMatrix(DEFAULT_MATRIX));
  const named = (name: (job: typeof jobs[number]) => string | undefined) => new Set(jobs.map(name));
  const missing = [
    ...new Set(PORTED_SERIES).difference(named(({ on }) => on?.kernel.debian)),
    ...new Set(PLATFORM_NAMES).difference(named(({ on }) => on?.platform)),
    ...new Set(KERNEL_FLAVOURS).difference(named(({ on }) => on?.flavour)),
    ...new Set(SUITES).difference(named(({ suite }) => suite.kind)),
  ];
  assertEquals(missing, []);
  const withMutants = jobs.filter(({ suite }) => suite.kind === "mutants").map(({ on }) => {
    const { platform, flavour, kernel } = on!;
    const series = kernel.debian === DEFAULT_SERIES ? "" : `@${kernel.debian}`;
    return `${platform}${flavour === "plain" ? "" : `-${flavour}`}${series}`;
  });
  const mortal = (await readMutants()).filter((mutant) => mutant.survives === undefined);
  assertEquals(new Set(mortal.map(({ platform }) => platform)), new Set(withMutants));
});

Deno.test("a matrix is the sum of its products, each job once, without what is excluded", async () => {
  const products = [
    { ...PRODUCT, platforms: ["x86_64", "compat"], flavours: ["plain", "debug"] },
    { ...PRODUCT, suites: ["catalogue", "corruptions", { suite: "fuzz", count: 5 }] },
    { ...PRODUCT, suites: [{ suite: "catalogue", filter: ["ldt_", "a b"] }, "corruptions"] },
  ];
  assertEquals(await names({ jobs: products, exclude: [{ platform: "compat", flavour: "debug" }] }), [
    "6.1/x86_64/plain/catalogue",
    "6.1/x86_64/debug/catalogue",
    "6.1/compat/plain/catalogue",
    "corruptions",
    "6.1/x86_64/plain/fuzz-1x5",
    "6.1/x86_64/plain/catalogue-ldt_+a-b",
  ]);
});

Deno.test("kernels are Debian's, of a git tree, a directory or a file; paths begin at the matrix", async () => {
  const kernels = [
    { git: "https://example.org/linux.git", ref: "v6.1/x" },
    { git: "../linux", ref: "main", name: "mine" },
    { directory: "/src/linux-6.1" },
    { file: "bzImage" },
  ];
  const jobs = expandMatrix(await parse({ jobs: [{ ...PRODUCT, kernels }] }));
  assertEquals<unknown>(jobs.map(({ on }) => on?.kernel), [
    { name: "v6.1-x", git: "https://example.org/linux.git", ref: "v6.1/x" },
    { name: "mine", git: `${Deno.cwd()}/linux`, ref: "main" },
    { name: "linux-6.1", directory: "/src/linux-6.1" },
    { name: "bzImage", file: `${Deno.cwd()}/dir/bzImage` },
  ]);
});

Deno.test("comments do not change a matrix's digest, words do", async () => {
  const text = JSON.stringify({ jobs: [PRODUCT] });
  const digest = async (text: string) => (await parseMatrix(text, "m")).digest;
  assertEquals(await digest(`${text} // x`), await digest(text));
  assertEquals(await digest(text.replace("6.1", "5.10")) === await digest(text), false);
});

Deno.test("a mistake in a matrix is named with file, place, what was expected and what was found", async () => {
  const product = (change: Record<string, unknown>) => ({ jobs: [{ ...PRODUCT, ...change }] });
  await refuse([], "dir/m.json: $: expected an object, found []");
  await refuse(
    { jobs: [], x: 1 },
    `dir/m.json: $.x: expected one of the keys $schema, about, deadline, jobs, exclude, found "x"`,
  );
  await refuse({}, "dir/m.json: $.jobs: expected a list of at least 1, found nothing");
  await refuse({ jobs: [] }, "dir/m.json: $.jobs: expected a list of at least 1");
  await refuse(product({ platforms: ["arm"] }), `jobs[0].platforms[0]: expected one of x86_64, i386`);
  await refuse(product({ flavours: ["hot"] }), `jobs[0].flavours[0]: expected one of plain, debug, fault`);
  await refuse(
    product({ kernels: [{ debian: "6.2" }] }),
    `kernels[0].debian: expected one of 5.10, 6.1, 6.12`,
  );
  await refuse(
    product({ kernels: [{}] }),
    "kernels[0]: expected one of debian, git, directory, file, found {}",
  );
  await refuse(product({ kernels: [{ debian: "6.1", file: "x" }] }), "kernels[0]: expected one of debian");
  await refuse(
    product({ kernels: [{ git: "x" }] }),
    `kernels[0]: expected "ref" beside "git" and nothing else`,
  );
  await refuse(
    product({ kernels: [{ git: "x", ref: "--upload-pack=x" }] }),
    "kernels[0].ref: expected a branch",
  );
  await refuse(
    product({ kernels: [{ file: "x", ref: "y" }] }),
    `kernels[0]: expected "ref" beside "git" and nothing else`,
  );
  await refuse(product({ kernels: [{ file: "x", name: "../y" }] }), "kernels[0].name: expected letters");
  await refuse(product({ suites: ["all"] }), "suites[0]: expected one of catalogue, faults");
  await refuse(
    product({ suites: [{ suite: "fuzz", count: 0 }] }),
    "suites[0].count: expected a whole number",
  );
  await refuse(
    product({ suites: [{ suite: "fuzz", filter: ["x"] }] }),
    `suites[0].filter: expected one of the keys suite, draws, count, seed`,
  );
  await refuse(
    product({ deadline: "soon" }),
    `jobs[0].deadline: expected a time such as 30min or 4h, found "soon"`,
  );
  await refuse({ jobs: [PRODUCT], deadline: 5 }, "m.json: $.deadline: expected a time");
  await refuse({ jobs: [PRODUCT], exclude: [{}] }, "exclude[0]: expected at least one of kernel, platform");
  await assertRejects(() => parseMatrix("{ nope", "m.json"), UsageError, "m.json: line 1, column 3");
  await assertRejects(() => readMatrix("none/m.json"), UsageError, "none/m.json: the matrix cannot be read");
});

Deno.test("excludes that fit nothing, an empty plan and two jobs of one name are mistakes", async () => {
  const expand = async (value: unknown, says: string): Promise<void> => {
    const matrix = await parse(value);
    assertThrows(() => expandMatrix(matrix), UsageError, says);
  };
  await expand({ jobs: [PRODUCT], exclude: [{ kernel: "5.10" }] }, `exclude[0]: expected what fits a job`);
  await expand({ jobs: [PRODUCT], exclude: [{ kernel: "6.1" }] }, "no job is left");
  const kernels = [{ file: "a/x" }, { file: "b/x" }];
  await expand(
    { jobs: [{ ...PRODUCT, kernels }] },
    "two different jobs would be called x/x86_64/plain/catalogue",
  );
});

Deno.test("parseJsonc() takes comments away, but not out of strings", () => {
  const text =
    `// a nightly run\n{ /* two\nlines */ "a": "http://x/*y*/", // "b": 1\n"c": ["\\"//", 1 /**/] }`;
  assertEquals(parseJsonc(text), { a: "http://x/*y*/", c: ['"//', 1] });
});

Deno.test("parseJsonc() reads every JSON as JSON.parse does", () => {
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    const text = JSON.stringify(value, null, 2);
    assertEquals(parseJsonc(text), JSON.parse(text));
  }));
});

Deno.test("parseJsonc() names the line and the column of a mistake", () => {
  const refuse = (text: string, says: string): void => {
    assertThrows(() => parseJsonc(text), SyntaxError, says);
  };
  refuse('{\n  // x\n  "a": nope\n}', "line 3, column 8: invalid symbol, found nope");
  refuse('{ "a": 1,\n /* no end', "line 2, column 2: unexpected end of comment");
  refuse('{ "a": [1\n', "line 2, column 1: close bracket expected, found the end");
  refuse('{ "a": 1, }', "line 1, column 11: property name expected, found }");
  refuse('{ "a": 1,\n"a": 2 }', 'line 2, column 1: the name "a" is there twice');
  refuse('{ "a": "open }', "line 1, column 8: unexpected end of string");
  refuse("[1] 2", "line 1, column 5: end of file expected, found 2");
  refuse("", "value expected, found the end");
});
