// SPDX-License-Identifier: MIT
import { describePageProt } from "../../abi/page_prot.ts";
import { vmFlagNames, type VmFlagTable } from "../../abi/vm_flags.ts";
import { displayText } from "../struct_codec.ts";
import type { FieldDesc } from "../struct_desc.ts";

/** A number in hexadecimal. */
export function hex(value: number | bigint, digits = 1): string {
  return `0x${value.toString(16).padStart(digits, "0")}`;
}

/** Seconds since 1970 as a date, or as they are when they are none. */
export function showTime(seconds: bigint): string {
  // 8.64e12: the last second that a Date can hold.
  if (seconds > 8_640_000_000_000n) return hex(seconds);
  return new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z");
}

/** A decoded field as a person would read it. */
export function showField(
  field: FieldDesc,
  value: number | bigint | Uint8Array,
  flags?: VmFlagTable,
): string {
  if (value instanceof Uint8Array) return JSON.stringify(displayText(value));
  switch (field.display) {
    case "time":
      return `${value} (${showTime(BigInt(value))})`;
    case "vm-flags":
      return flags === undefined
        ? hex(value)
        : `${hex(value)} (${vmFlagNames(BigInt(value), flags).join(" ")})`;
    case "page-prot":
      return flags === undefined
        ? hex(value)
        : `${hex(value)} (${describePageProt(BigInt(value), flags.series)})`;
    case "hex":
      return hex(value);
    default:
      return String(value);
  }
}
