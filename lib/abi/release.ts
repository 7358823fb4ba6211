// SPDX-License-Identifier: MIT

/**
 * Whether a release (`uname -r`) is older than a version such as `2.6.32` or `5.10`, number by number. What follows
 * the numbers does not count, so a release candidate is as old as its release; one without numbers is new.
 */
export function isOlder(release: string, version: string): boolean {
  const numbers = /^\d+(\.\d+)*/.exec(release)?.[0].split(".").map(Number);
  if (!numbers) return false;
  for (const [index, wanted] of version.split(".").map(Number).entries()) {
    const found = numbers[index] ?? 0;
    if (found !== wanted) return found < wanted;
  }
  return false;
}
