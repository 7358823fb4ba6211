// SPDX-License-Identifier: MIT

import { assert } from "@std/assert";
import fc from "fast-check";
import * as v from "valibot";
import { compileScenario } from "../compile_scenario.ts";
import { parseScenario, ScenarioError } from "../scenario.ts";
import { I386, X86_64 } from "../testing/compile_steps.ts";
import { type Step, STEPS } from "./steps.ts";

/** Values of fields whose names say what they are: few, so that steps are about the same things. */
const VALUES: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  area: fc.constantFrom("a", "a", "a", "b"),
  from: fc.constantFrom("a", "b"),
  after: fc.constant("a"),
  file: fc.constantFrom("f", "f", "f", "g", "/dev/zero", "/proc/meminfo"),
  pages: fc.constantFrom<unknown>(0, 1, 3, "all", "1..2", "0..7/2", "chunk", "chunk-1", 2 ** 24),
};

/** Texts of which other fields take one or another. */
const TEXTS = [
  ...["a", "b", "f", "0", "1..2", "chunk", "entry", "area:a", "0x10", "0xffffffff", "ldt:0", "tls:1"],
  ...["ldt:0..3", "a:1", "a:0+0xfff", "vdso+0x10", "text+9", "cc", "/work/x", "E_NONE"],
];

interface Drawn {
  readonly type: string;
  readonly literal?: unknown;
  readonly options?: readonly unknown[];
  readonly entries?: Readonly<Record<string, Drawn>>;
  readonly wrapped?: Drawn;
  readonly item?: Drawn;
  readonly key?: Drawn;
  readonly value?: Drawn;
  readonly pipe?: readonly { readonly type: string; readonly requirement?: unknown }[];
}

/** Values that a schema may take; what it refuses all the same is thrown away. */
function arbitraryOf(schema: Drawn): fc.Arbitrary<unknown> {
  const limit = (type: string, fallback: number): number =>
    Number(schema.pipe?.find((action) => action.type === type)?.requirement ?? fallback);
  switch (schema.type) {
    case "literal":
      return fc.constant(schema.literal);
    case "picklist":
      return fc.constantFrom(...schema.options!);
    case "boolean":
      return fc.boolean();
    case "number": {
      const [min, max] = [limit("min_value", 0), limit("max_value", 100)];
      return fc.oneof(
        {
          weight: 4,
          arbitrary: fc.integer({ min: Math.max(min, -2), max: Math.min(max, Math.max(min, 12)) }),
        },
        fc.constantFrom(min, max),
      );
    }
    case "string":
      return fc.constantFrom(...TEXTS);
    case "union":
    case "variant":
      return fc.oneof(...(schema.options as readonly Drawn[]).map(arbitraryOf));
    case "array":
      return fc.array(arbitraryOf(schema.item!), { minLength: limit("min_length", 0), maxLength: 3 });
    case "record":
      return fc.dictionary(arbitraryOf(schema.key!) as fc.Arbitrary<string>, arbitraryOf(schema.value!), {
        maxKeys: 3,
      });
    case "strict_object": {
      const entries = Object.entries(schema.entries!);
      const isOptional = ({ type }: Drawn): boolean => type === "exact_optional";
      return fc.record(
        Object.fromEntries(
          entries.map(([key, entry]) => [key, VALUES[key] ?? arbitraryOf(entry.wrapped ?? entry)]),
        ),
        { requiredKeys: entries.filter(([, entry]) => !isOptional(entry)).map(([key]) => key) },
      );
    }
    case "lazy":
      return fc.constant([{ op: "write", area: "a", pages: 0 }]);
    default:
      throw new TypeError(`no values are known for a schema of type ${schema.type}`);
  }
}

const STEP = fc.oneof(
  ...STEPS.map(({ schema }) =>
    arbitraryOf(schema as unknown as Drawn).filter((step): step is Step =>
      v.is(schema as v.GenericSchema, step)
    )
  ),
);

Deno.test("steps that the schema takes make a program, or are refused with their place", () => {
  const map = { op: "mmap", area: "a", pages: 8 };
  const file = { op: "file", file: "f", pages: 4 };
  let compiled = 0;
  fc.assert(
    fc.property(fc.array(STEP, { maxLength: 4 }), fc.constantFrom(X86_64, I386), (drawn, target) => {
      const steps = drawn.map((step, index) => "label" in step ? { ...step, label: `stop ${index}` } : step);
      const all = [map, file, ...steps, { op: "stop", label: "last" }];
      try {
        compileScenario(parseScenario({ about: "a random scenario", steps: all }, "random"), target);
        compiled++;
      } catch (error) {
        if (!(error instanceof ScenarioError)) throw error;
        assert(/^random: \$\.steps\[\d+\](\.steps\[\d+\])?/.test(error.message), error.message);
      }
    }),
    { numRuns: 400 },
  );
  assert(compiled > 5, `${compiled} random lists of steps made a program`);
});
