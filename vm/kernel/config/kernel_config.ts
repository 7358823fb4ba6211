// SPDX-License-Identifier: MIT

/** Kconfig options and their values: `y`, `m`, `n`, a number, or a string with its quotes. */
export type KernelConfig = ReadonlyMap<string, string>;

/** A requested option that the final configuration does not have. */
interface DroppedOption {
  name: string;
  wanted: string;
  /** The value that it has instead; `n` when it does not appear. */
  found: string;
}

const OPTION = /^(?:(?<set>CONFIG_\w+)=(?<value>.+)|# (?<unset>CONFIG_\w+) is not set)$/;

/**
 * Parses a `.config` or a fragment of one.
 *
 * @param text lines `CONFIG_X=value`, `# CONFIG_X is not set`, comments and blank lines.
 * @param file its name, for errors.
 * @throws {SyntaxError} for any other line, and in a fragment for an option given twice.
 */
export function parseKernelConfig(text: string, file: string): KernelConfig {
  const config = new Map<string, string>();
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trimEnd();
    const { set, value = "n", unset } = OPTION.exec(line)?.groups ?? {};
    const name = set ?? unset;
    if (name === undefined) {
      if (line === "" || line.startsWith("#")) continue;
      throw new SyntaxError(`${file}:${index + 1}: expected CONFIG_X=value or a comment, found: ${line}`);
    }
    if (config.has(name)) {
      throw new SyntaxError(`${file}:${index + 1}: ${name} is given a second time`);
    }
    config.set(name, value);
  }
  return config;
}

/** Lays fragments over each other; where two name the same option, the later one counts. */
export function mergeKernelConfigs(configs: readonly KernelConfig[]): KernelConfig {
  return configs.reduce(overrideKernelConfig, new Map());
}

/**
 * Lays a configuration over another. The second one's options come last: of the members of a Kconfig choice,
 * the last one in the file counts.
 */
export function overrideKernelConfig(under: KernelConfig, over: KernelConfig): KernelConfig {
  return new Map([...[...under].filter(([name]) => !over.has(name)), ...over]);
}

/** Writes a configuration in the kernel's own form, in its own order. */
export function formatKernelConfig(config: KernelConfig): string {
  const lines = [...config].map(([name, value]) =>
    value === "n" ? `# ${name} is not set` : `${name}=${value}`
  );
  return lines.map((line) => `${line}\n`).join("");
}

/** The requested options that did not survive `olddefconfig`, in the order of their names. */
export function droppedOptions(wanted: KernelConfig, final: KernelConfig): DroppedOption[] {
  return [...wanted]
    .map(([name, value]) => ({ name, wanted: value, found: final.get(name) ?? "n" }))
    .filter(({ wanted, found }) => wanted !== found)
    .toSorted((a, b) => a.name < b.name ? -1 : 1);
}
