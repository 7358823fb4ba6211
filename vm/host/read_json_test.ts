// SPDX-License-Identifier: MIT

import { assertEquals, assertRejects } from "@std/assert";
import { integer, object } from "../../lib/schema.ts";
import { ExpectedError } from "./errors.ts";
import { readJson } from "./read_json.ts";

const SCHEMA = object({ size: integer(0, 9) });

async function read(text: string): Promise<unknown> {
  const path = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(path, text);
    return await readJson(path, SCHEMA).catch((error) => {
      throw new ExpectedError(error.message.replaceAll(path, "FILE"));
    });
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("readJson() reads what is as it must be, and names the file of all else", async () => {
  assertEquals(await read(`{ "size": 3 }`), { size: 3 });
  await assertRejects(() => read("{"), ExpectedError, "FILE: $: expected JSON, found ");
  await assertRejects(
    () => read(`{ "size": 10 }`),
    ExpectedError,
    "FILE: $.size: expected a whole number from 0 to 9",
  );
  await assertRejects(() => readJson("no/such.json", SCHEMA), ExpectedError, "no/such.json cannot be read");
});
