// SPDX-License-Identifier: MIT
import { PAGE_SIZE } from "../../lib/abi/arch.ts";

const SIGNATURE = "SWAPSPACE2";

/**
 * The first page of a swap area of `bytes` bytes, as mkswap writes it: `union swap_header` of
 * include/linux/swap.h.
 *
 * @throws {RangeError} when there is no room for a page behind the header
 */
export function formatSwapArea(bytes: number): Uint8Array<ArrayBuffer> {
  const pages = Math.floor(bytes / PAGE_SIZE);
  if (pages < 2) throw new RangeError(`A swap area has at least 2 pages: ${bytes} bytes are ${pages}`);
  const page = new Uint8Array(PAGE_SIZE);
  const view = new DataView(page.buffer);
  view.setUint32(1024, 1, true); // version
  view.setUint32(1028, pages - 1, true); // last page
  page.set(new TextEncoder().encode(SIGNATURE), PAGE_SIZE - SIGNATURE.length);
  return page;
}
