// SPDX-License-Identifier: MIT
import { join } from "@std/path";

/**
 * Makes a state for apt of its own, so that the host's apt learns nothing of what is fetched, and knows nothing of
 * this host but its sources, unless `settings` name others.
 *
 * @param home directory for everything that apt keeps
 * @returns the environment for apt's programs
 */
export async function aptEnvironment(
  home: string,
  settings: readonly string[],
): Promise<Record<string, string>> {
  for (const directory of ["state/lists/partial", "cache/archives/partial"]) {
    await Deno.mkdir(join(home, directory), { recursive: true });
  }
  await Deno.writeTextFile(join(home, "status"), "");
  const config = [
    ...settings,
    `Dir::State "${home}/state"`,
    `Dir::State::status "${home}/status"`,
    `Dir::Cache "${home}/cache"`,
    `Dir::Log "${home}"`,
    `Debug::NoLocking "true"`,
    // No unprivileged user of apt's may write below a home directory.
    `APT::Sandbox::User "root"`,
  ];
  await Deno.writeTextFile(join(home, "apt.conf"), config.map((line) => `${line};\n`).join(""));
  return { APT_CONFIG: join(home, "apt.conf"), DEBIAN_FRONTEND: "noninteractive" };
}
