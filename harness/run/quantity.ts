// SPDX-License-Identifier: MIT

/** A number of bytes as a person reads it, in powers of 1024. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB"];
  let value = bytes / 1024;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${units[unit]}`;
}

/** The middle of some numbers; undefined of none. */
export function medianOf(numbers: readonly number[]): number | undefined {
  const sorted = numbers.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? sorted[middle]
    : sorted.length === 0
    ? undefined
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Milliseconds as seconds. */
export function formatSeconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(2)} s`;
}

/** A number with thousands separated, so that byte counts can be read. */
export function formatCount(count: number): string {
  return String(count).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Seconds as a person says them: `0.4 s`, `37 s`, `4 min 5 s`, `1 h 12 min`, `2 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? twoUnits(whole, "min", "s") : twoUnits(Math.round(seconds / 60), "h", "min");
}

function twoUnits(count: number, large: string, small: string): string {
  const rest = count % 60;
  return `${Math.floor(count / 60)} ${large}${rest === 0 ? "" : ` ${rest} ${small}`}`;
}

const SECONDS: Readonly<Record<string, number>> = { s: 1, min: 60, h: 3600, d: 86_400 };
const BYTES: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** Seconds of a text such as `90s`, `30min`, `2h`, `1.5h` or `1d`; undefined when it says none. */
export function parseSeconds(text: string): number | undefined {
  return scaled(/^(\d+(?:\.\d+)?)(s|min|h|d)$/.exec(text), SECONDS);
}

/** Bytes of a text such as `500M` or `20G`, in powers of 1024; undefined when it says none. */
export function parseBytes(text: string): number | undefined {
  return scaled(/^(\d+(?:\.\d+)?)([KMGT]?)$/.exec(text), BYTES);
}

function scaled(match: RegExpExecArray | null, units: Readonly<Record<string, number>>): number | undefined {
  const unit = units[match?.[2] ?? "none"];
  return unit === undefined ? undefined : Number(match?.[1]) * unit;
}

/** Names in a line, the last of many left out. */
export function someNames(names: readonly string[], shown: number): string {
  const more = names.length - shown;
  return names.slice(0, shown).join(", ") + (more > 0 ? ` and ${more} more` : "");
}

/** How many pages of targets the host saw, and how many the guest told of, in a line where there were any. */
export function seenLines({ host, guest }: { readonly host: number; readonly guest: number }): string[] {
  if (host + guest === 0) return [];
  return [
    `pages of targets: ${formatCount(host)} seen in the guest's memory, ${
      formatCount(guest)
    } by its word alone`,
  ];
}
