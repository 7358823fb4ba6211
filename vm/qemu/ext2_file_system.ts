// SPDX-License-Identifier: MIT

const BLOCK = 1024;
/** As many as one bitmap has bits: one group. */
const BLOCKS = 8 * BLOCK;
const INODES = 16;
const INODE_SIZE = 128;
/** The first that is not the file system's own. */
const FIRST_INODE = 11;
/** Where things lie, in blocks: the inodes take two of them. */
const AT = { superblock: 1, groups: 2, blockBitmap: 3, inodeBitmap: 4, inodes: 5, root: 7 } as const;
const ROOT_INODE = 2;

/**
 * The beginning of an empty ext2 file system of 8 MiB, of its oldest revision: `struct ext2_super_block` and what
 * follows it (fs/ext2/ext2.h). All behind it may be anything.
 */
export function formatExt2(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array((AT.root + 1) * BLOCK);
  const view = new DataView(bytes.buffer);
  const put = (at: number, values: Readonly<Record<number, number>>, size: 2 | 4 = 4) => {
    for (const [offset, value] of Object.entries(values)) {
      if (size === 2) view.setUint16(at + Number(offset), value, true);
      else view.setUint32(at + Number(offset), value, true);
    }
  };
  const [freeBlocks, freeInodes] = [BLOCKS - 1 - AT.root, INODES - FIRST_INODE + 1];
  const superblock = AT.superblock * BLOCK;
  put(superblock, { 0: INODES, 4: BLOCKS, 12: freeBlocks, 16: freeInodes, 20: AT.superblock });
  put(superblock, { 32: BLOCKS, 36: BLOCKS, 40: INODES });
  put(superblock, { 54: 0xffff, 56: 0xef53, 58: 1, 60: 1 }, 2); // mounts, magic, clean, goes on after errors
  put(AT.groups * BLOCK, { 0: AT.blockBitmap, 4: AT.inodeBitmap, 8: AT.inodes });
  put(AT.groups * BLOCK, { 12: freeBlocks, 14: freeInodes, 16: 1 }, 2);
  setBits(bytes.subarray(AT.blockBitmap * BLOCK), 0, AT.root);
  setBits(bytes.subarray(AT.blockBitmap * BLOCK), BLOCKS - 1, BLOCKS);
  setBits(bytes.subarray(AT.inodeBitmap * BLOCK), 0, FIRST_INODE - 1);
  setBits(bytes.subarray(AT.inodeBitmap * BLOCK), INODES, BLOCKS);
  const root = AT.inodes * BLOCK + (ROOT_INODE - 1) * INODE_SIZE;
  put(root, { 0: 0o40755, 26: 2 }, 2); // mode, links
  put(root, { 4: BLOCK, 28: BLOCK / 512, 40: AT.root });
  const [dot, dots] = [AT.root * BLOCK, AT.root * BLOCK + 12];
  put(dot, { 4: dots - dot, 6: 1, 8: 0x2e }, 2);
  put(dots, { 4: BLOCK - (dots - dot), 6: 2, 8: 0x2e2e }, 2);
  for (const entry of [dot, dots]) put(entry, { 0: ROOT_INODE });
  return bytes;
}

function setBits(bitmap: Uint8Array, first: number, end: number): void {
  for (let bit = first; bit < end; bit++) bitmap[bit >> 3]! |= 1 << (bit & 7);
}
