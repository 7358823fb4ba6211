// SPDX-License-Identifier: MIT

import { PAGE_SIZE_BIG } from "../../lib/abi/arch.ts";
import { hex } from "../../lib/bytes.ts";
import { isAnonymousPage, parsePagemap } from "../../lib/compare/pagemap.ts";
import { nameOf, parseSmaps } from "../../lib/compare/proc_maps.ts";
import { type Finding, mismatch } from "../../lib/image/finding.ts";
import { shownAddress } from "../../lib/model/state/page_set.ts";
import type { LookedAt } from "../../vm/agent/host_look.ts";
import type { Blobs, GuestAgent } from "../run/guest/guest.ts";

/** What of /proc/PID page tables are held against. */
const OBSERVED = ["smaps", "pages"] as const;
/** What the agent says of a page that it cannot read. */
const UNREADABLE = 2n ** 64n - 1n;
/** Of so many pages that the host sees, the guest is asked for one: an emulated processor takes long to digest them. */
const SAMPLE = 8;
const MAX_FINDINGS = 5;

/** How many pages of a process the host saw in the guest's memory, and how many the guest alone tells of. */
export interface SeenPages {
  readonly host: number;
  readonly guest: number;
}

/** Digests of pages of a process, and where host and guest disagree. */
interface HashedPages {
  readonly hashes: ReadonlyMap<bigint, bigint>;
  readonly findings: readonly Finding[];
  readonly seen: SeenPages;
}

interface LookOptions {
  readonly pid: number;
  /** The agent's answer to {@linkcode OBSERVED}, and what else it was asked for. */
  readonly observed: Blobs;
  readonly zeroFrame: bigint | undefined;
  /** Which pages' digests are needed; the host gives those of others as well. */
  readonly hashPage: (page: number) => boolean;
}

/**
 * Looks at the pages of a stopped process in the guest's memory, where the host can, and asks the guest. The host's
 * word counts; the guest's is held against it: which pages are there and where, and what is in a sample of them.
 */
export async function lookFromHost(agent: GuestAgent, options: LookOptions): Promise<HashedPages> {
  const { pid, zeroFrame, hashPage } = options;
  let { observed } = options;
  let looked = lookAt(agent, observed);
  if (looked && looked.differences.length > 0) {
    // What is not stopped, or was moved in between, is there by now.
    observed = await agent.observe(pid, OBSERVED);
    looked = lookAt(agent, observed);
  }
  const entries = parsePagemap(observed.get("pages") ?? new Uint8Array(0));
  const own = entries.filter((entry) => isAnonymousPage(entry, zeroFrame));
  const tables = new Map(looked?.pages.map((page) => [BigInt(page.page) * PAGE_SIZE_BIG, page]));
  const hostHash = (address: bigint): bigint | undefined => {
    const found = tables.get(address);
    return found && agent.hostLook?.pageHash(found);
  };
  const hashes = new Map<bigint, bigint>();
  for (const { page } of own) {
    const address = BigInt(page) * PAGE_SIZE_BIG;
    const hash = hostHash(address);
    if (hash !== undefined) hashes.set(address, hash);
  }
  const wanted = own.filter(({ page }) => hashPage(page)).map(({ page }) => BigInt(page) * PAGE_SIZE_BIG);
  const asked = wanted.filter((address, i) => !hashes.has(address) || i % SAMPLE === 0);
  const answer = asked.length > 0 ? await agent.pageHash(pid, asked) : new BigUint64Array(0);
  const message = "page tables in the guest's memory and /proc/PID/pagemap disagree on a page";
  const findings = (looked?.differences ?? [])
    .map(({ page, host, guest }) => disagreement(page, message, host, guest));
  asked.forEach((address, i) => {
    const [host, guest] = [hashes.get(address), answer[i]!];
    if (host === undefined) hashes.set(address, guest);
    // One that runs may have written to it in between.
    else if (guest !== host && guest !== UNREADABLE && guest !== hostHash(address)) {
      const message = "a page in the guest's memory is not what /proc/PID/mem shows";
      findings.push(
        disagreement(Number(address / PAGE_SIZE_BIG), message, shownHash(host), shownHash(guest)),
      );
    }
  });
  const host = looked?.pages.filter(({ frame }) => frame !== undefined).length ?? 0;
  return {
    hashes,
    findings: findings.slice(0, MAX_FINDINGS),
    seen: { host, guest: Math.max(0, entries.length - host) },
  };
}

function lookAt({ hostLook }: GuestAgent, observed: Blobs): LookedAt | undefined {
  if (!hostLook) return undefined;
  const bytesOf = (name: string) => observed.get(name) ?? new Uint8Array(0);
  const entries = parsePagemap(bytesOf("pages"));
  // Old kernels do not say of each page whether it is there.
  if (entries.some(({ isCut }) => isCut)) return undefined;
  // Of page frames without a struct page (VM_PFNMAP, as in [vvar]) pagemap says nothing.
  const ranges = parseSmaps(bytesOf("smaps"))
    .filter((entry) => nameOf(entry) !== "[vsyscall]" && !entry.vmFlags.includes("pf"))
    .map(({ start, end }) => ({ start: Number(start / PAGE_SIZE_BIG), end: Number(end / PAGE_SIZE_BIG) }));
  return hostLook.pagesOf(entries, ranges);
}

function disagreement(page: number, message: string, host: string, guest: string): Finding {
  const values = { expected: `host: ${host}`, actual: `guest: ${guest}` };
  return mismatch("E_ORACLES_DISAGREE", { path: `page ${shownAddress(page)}`, message, ...values });
}

function shownHash(hash: bigint): string {
  return `hash ${hex(hash, 16)}`;
}
