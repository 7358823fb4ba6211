// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { checkpointReply } from "../../vm/agent/testing/checkpoint_reply.ts";
import { checkNothingWritten, checkReply, checkResults } from "./check_reply.ts";
import type { ExpectedResult } from "../../lib/model/target_op.ts";

const OK = { name: "ok", why: "" };
const REFUSED = { name: "ENOSYS", why: "shared" };

function shown(...args: Parameters<typeof checkReply>): (string | undefined)[] {
  return checkReply(...args).flatMap(({ id, expected, actual }) => [id, expected, actual]);
}

Deno.test("checkReply() wants the very next id, and of the code of 2008 a later one", () => {
  const reply = (id: number) => checkpointReply({ result: BigInt(id), previousId: 4 });
  assertEquals(shown(reply(5), OK, "port"), []);
  for (const id of [4, 6]) assertEquals(shown(reply(id), OK, "port"), ["E_RETURN", "the id 5", String(id)]);
  assertEquals(shown(reply(6), OK, "v11"), []);
  assertEquals(shown(reply(4), OK, "v11"), ["E_RETURN", "an id from 5 up", "4"]);
  const many = { ...OK, times: 3 };
  assertEquals(shown({ ...reply(7), otherResult: 6n }, many, "port"), []);
  assertEquals(shown({ ...reply(6), otherResult: 5n }, many, "port"), ["E_RETURN", "the id 7", "6"]);
});

Deno.test("checkReply() wants exactly the errno of a refusal, of each of many calls", () => {
  const failed = checkpointReply({ result: -38n, errno: 38 });
  assertEquals(shown(failed, REFUSED, "port"), []);
  assertEquals(shown(failed, OK, "port"), ["E_RETURN", "the id 1", "ENOSYS"]);
  assertEquals(shown({ ...failed, result: -22n, errno: 22 }, REFUSED, "port"), [
    "E_RETURN",
    "ENOSYS",
    "EINVAL",
  ]);
  assertEquals(shown(checkpointReply(), REFUSED, "port"), ["E_RETURN", "ENOSYS", "1"]);
  const other = { ...failed, otherResult: 7n };
  assertEquals(shown(other, { ...REFUSED, times: 9 }, "port"), ["E_RETURN", "ENOSYS", "7 as well"]);
});

Deno.test("checkReply() wants the signal that ends the caller, and no other end", () => {
  const ended = checkpointReply({ result: -1n, signal: 13 });
  const pipe = { name: "SIGPIPE", why: "nobody reads" };
  assertEquals(shown(ended, pipe, "port"), []);
  assertEquals(shown(ended, { ...pipe, name: "SIGKILL" }, "port"), ["E_RETURN", "SIGKILL", "SIGPIPE"]);
  assertEquals(shown(ended, { ...pipe, name: "EPERM" }, "port"), ["E_RETURN", "EPERM", "SIGPIPE"]);
  assertEquals(shown({ ...ended, result: 1n }, OK, "port"), ["E_RETURN", "the id 1", "SIGPIPE"]);
});

Deno.test("checkReply() finds a caller that may use addresses of the kernel, or had to be freed by a reader", () => {
  assertEquals(shown(checkpointReply({ probe: -14n }), OK, "port"), []);
  assertEquals(shown(checkpointReply({ probe: 1n }), OK, "port"), ["E_ADDRESS_LIMIT", "EFAULT", "1"]);
  assertEquals(shown(checkpointReply({ isLate: true }), OK, "port")[0], "E_LATE");
});

Deno.test("checkNothingWritten() is content with nothing alone", () => {
  assertEquals(checkNothingWritten(new Uint8Array(0)), []);
  assertEquals(checkNothingWritten(new Uint8Array(3)).map(({ id, actual }) => [id, actual]), [
    ["E_REFUSED_OUTPUT", "3 bytes"],
  ]);
});

const CALL: ExpectedResult = { what: "mmap()", expected: 0x1000n } as ExpectedResult;
const ANY: ExpectedResult = { what: "getpid()" } as ExpectedResult;
const REPORT = { what: "report", report: true, bytes: Uint8Array.of(1, 2) } as unknown as ExpectedResult;

Deno.test("checkResults() is content with what was expected, and with anything where nothing was", () => {
  const items = [{ value: 0x1000n }, { value: 77n }, { bytes: Uint8Array.of(1, 2) }];
  assertEquals(checkResults(items, [CALL, ANY, REPORT]), []);
});

Deno.test("checkResults() reports the first result that differs, with both values", () => {
  const [finding, ...more] = checkResults([{ value: -12n }, { value: 1n }], [CALL, CALL]);
  assertEquals([finding?.id, finding?.expected, finding?.actual, more], ["E_SETUP", "4096", "-12", []]);
  const [bytes] = checkResults([{ bytes: Uint8Array.of(1, 3) }], [REPORT]);
  assertEquals([bytes?.expected, bytes?.actual], ["01 02", "01 03"]);
});

Deno.test("checkResults() reports a target that did not get that far", () => {
  const [finding] = checkResults([{ value: 0x1000n }], [CALL, ANY]);
  assertEquals(finding?.message, "getpid(): the target did not get that far");
});

Deno.test("checkResults() is not content with a number where bytes were to come", () => {
  assertEquals(checkResults([{ value: 1n }], [REPORT]).length, 1);
  assertEquals(checkResults([{ bytes: Uint8Array.of(1) }], [CALL]).length, 1);
});
