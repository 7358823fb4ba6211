// SPDX-License-Identifier: MIT

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

/** Seconds as a person reads them: `40 s`, `12 min`, `2 h 5 min`. */
export function formatDuration(seconds: number): string {
  if (seconds < 100) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 100) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
