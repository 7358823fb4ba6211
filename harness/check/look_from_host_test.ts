// SPDX-License-Identifier: MIT

import { assertEquals } from "@std/assert";
import { PAGE_SIZE } from "../../lib/abi/arch.ts";
import type { HostLook } from "../../vm/agent/host_look.ts";
import type { Blobs, GuestAgent } from "../run/guest/guest.ts";
import { fakeAgent } from "../run/testing/fake_guest.ts";
import { lookFromHost } from "./look_from_host.ts";

const PRESENT = 1n << 63n;
const SWAPPED = 1n << 62n;
/** Pages 16 to 31 in frames of the same numbers, page 32 in swap, page 33 a file's. */
const PAGES = [
  ...Array.from({ length: 16 }, (_, i) => [16 + i, PRESENT | BigInt(16 + i)] as const),
  [32, SWAPPED] as const,
  [33, PRESENT | 1n << 61n | 33n] as const,
];

function observed(pages: readonly (readonly [number, bigint])[] = PAGES): Blobs {
  const words = pages.flatMap(([page, entry]) => [BigInt(page * PAGE_SIZE), entry]);
  const smaps = new TextEncoder().encode(
    "10000-22000 rw-p 00000000 00:00 0\nVmFlags: rd wr\n30000-31000 r--p 00000000 00:00 0 [vvar]\nVmFlags: rd pf\n",
  );
  return new Map([["pages", new Uint8Array(BigUint64Array.from(words).buffer)], ["smaps", smaps]]);
}

interface Lie {
  /** By page, what the agent says of its digest. */
  readonly hashes?: Readonly<Record<number, bigint>>;
  readonly agrees?: (look: number) => boolean;
}

async function lookWith({ hashes = {}, agrees = () => true }: Lie = {}) {
  const asked: number[] = [];
  let looks = 0;
  const pages = PAGES.map(([page, entry]) => ({
    page,
    frame: (entry & PRESENT) === 0n ? undefined : page,
  }));
  const differences = [{ page: 20, host: "in frame 0x14", guest: "absent" }];
  const hostLook: Pick<HostLook, keyof HostLook> = {
    pagesOf: (_, ranges) => {
      assertEquals(ranges, [{ start: 0x10, end: 0x22 }], "[vvar] is not asked for");
      return { pages, differences: agrees(looks++) ? [] : differences };
    },
    pageHash: ({ frame }) => frame === undefined ? undefined : BigInt(frame) * 100n,
  };
  const agent = fakeAgent({}, {
    hostLook: hostLook as HostLook,
    observe: () => Promise.resolve(new Map(observed()) as Awaited<ReturnType<GuestAgent["observe"]>>),
    pageHash: (_, addresses) => {
      const numbers = addresses.map((address) => Number(address) / PAGE_SIZE);
      asked.push(...numbers);
      return Promise.resolve(BigUint64Array.from(numbers, (page) => hashes[page] ?? BigInt(page) * 100n));
    },
  });
  const options = { pid: 1, observed: observed(), zeroFrame: 31n, hashPage: (page: number) => page !== 17 };
  const found = await lookFromHost(agent, options);
  const findings = found.findings.map(({ id, path, expected, actual }) =>
    [id, path, expected, actual].join(" | ")
  );
  return { ...found, findings, asked, looks };
}

Deno.test("lookFromHost() takes pages from the guest's memory, and asks for a sample and what is in swap", async () => {
  const { hashes, findings, asked, seen } = await lookWith();
  assertEquals(asked, [16, 25, 32]);
  // Neither the zero page nor a file's page is the target's own; one that is not needed comes for free.
  assertEquals([...hashes.keys()].map((address) => Number(address) / PAGE_SIZE), [
    ...Array.from({ length: 15 }, (_, i) => 16 + i),
    32,
  ]);
  assertEquals([hashes.get(0x11000n), hashes.get(0x20000n), findings], [1700n, 3200n, []]);
  assertEquals(seen, { host: 17, guest: 1 });
});

Deno.test("a digest of the guest's that is not that of its memory is E_ORACLES_DISAGREE", async () => {
  const { hashes, findings } = await lookWith({ hashes: { 16: 1n, 32: 5n } });
  assertEquals(findings, [
    "E_ORACLES_DISAGREE | page 0x10000 | host: hash 0x0000000000000640 | guest: hash 0x0000000000000001",
  ]);
  assertEquals([hashes.get(0x10000n), hashes.get(0x20000n)], [1600n, 5n], "the host's word counts");
  const unreadable = await lookWith({ hashes: { 16: 2n ** 64n - 1n } });
  assertEquals(unreadable.findings, []);
});

Deno.test("a page elsewhere than pagemap says is E_ORACLES_DISAGREE when a second look shows it, too", async () => {
  const moved = await lookWith({ agrees: (look) => look > 0 });
  assertEquals([moved.looks, moved.findings], [2, []]);
  const lied = await lookWith({ agrees: () => false });
  assertEquals(lied.findings, ["E_ORACLES_DISAGREE | page 0x14000 | host: in frame 0x14 | guest: absent"]);
});

Deno.test("lookFromHost() asks for every page where the host cannot look", async () => {
  const asked: bigint[] = [];
  const agent = fakeAgent({}, {
    pageHash: (_, addresses) => {
      asked.push(...addresses);
      return Promise.resolve(new BigUint64Array(addresses.length));
    },
  });
  const options = { pid: 1, observed: observed(), zeroFrame: undefined, hashPage: () => true };
  assertEquals((await lookFromHost(agent, options)).seen, { host: 0, guest: 18 });
  assertEquals(asked.length, 17);
});
