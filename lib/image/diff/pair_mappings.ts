// SPDX-License-Identifier: MIT
import type { MappingOutline } from "../outline.ts";

/** What two images have of one thing. */
export type Pair<T> = readonly [a: T | undefined, b: T | undefined];

/** Mappings that are the same one: those with the same start, then those with the same end (a stack that grew). */
export function pairMappings(
  a: readonly MappingOutline[],
  b: readonly MappingOutline[],
): Pair<MappingOutline>[] {
  const pairs = new Map<MappingOutline, MappingOutline>();
  for (const field of ["vm_start", "vm_end"] as const) {
    const taken = new Set(pairs.values());
    const free = new Map(
      b.filter((mapping) => !taken.has(mapping)).map((mapping) => [mapping.record.fields[field], mapping]),
    );
    for (const mapping of a) {
      const address = mapping.record.fields[field];
      const other = pairs.has(mapping) ? undefined : free.get(address);
      if (!other) continue;
      pairs.set(mapping, other);
      // In a broken image several may start at one address.
      free.delete(address);
    }
  }
  const taken = new Set(pairs.values());
  const all: Pair<MappingOutline>[] = [
    ...a.map((mapping): Pair<MappingOutline> => [mapping, pairs.get(mapping)]),
    ...b.filter((mapping) => !taken.has(mapping)).map((
      mapping,
    ): Pair<MappingOutline> => [undefined, mapping]),
  ];
  const start = ([left, right]: Pair<MappingOutline>): bigint => (left ?? right)!.record.fields.vm_start;
  return all.toSorted((one, other) => start(one) < start(other) ? -1 : Number(start(one) > start(other)));
}
