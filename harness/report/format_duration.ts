// SPDX-License-Identifier: MIT

/** Seconds as a person says them: `0.42 s`, `37 s`, `4 min 5 s`, `1 h 12 min`, `2 h`. */
export function formatDuration(seconds: number): string {
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return twoUnits(whole, "min", "s");
  return twoUnits(Math.round(seconds / 60), "h", "min");
}

function twoUnits(count: number, large: string, small: string): string {
  const rest = count % 60;
  return `${Math.floor(count / 60)} ${large}${rest === 0 ? "" : ` ${rest} ${small}`}`;
}
