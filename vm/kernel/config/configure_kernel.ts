// SPDX-License-Identifier: MIT
import { basename, join } from "@std/path";
import { BuildError } from "../build/build_error.ts";
import { inStage, type OnBuildProgress, runStageCommand, stageReport } from "../build/build_stage.ts";
import { digestOf } from "../../host/digest.ts";
import {
  droppedOptions,
  formatKernelConfig,
  type KernelConfig,
  overrideKernelConfig,
  parseKernelConfig,
} from "./kernel_config.ts";
import { listFiles, pathOf } from "../source/kernel_source.ts";
import { makeCommand, type MakeOptions } from "../build/compile_kernel.ts";
import { missingOptions, type NeededFor, neededText } from "./needed_options.ts";

interface ConfigureOptions extends MakeOptions {
  /** What is asked for on top of `tinyconfig`; with `needed`, a whole configuration of the user's. */
  config: KernelConfig;
  /** What a configuration of the user's must have when Kconfig is done with it. */
  needed?: NeededFor | undefined;
  /** Changes when any Kconfig file of the tree may have changed. */
  kconfigKey: string;
  logPath: string;
  onProgress?: OnBuildProgress | undefined;
}

/**
 * Stage `configure`: `tinyconfig`, the wanted options over it, `olddefconfig`; then checks that every wanted
 * option survived. Does nothing when the build directory was configured from the same input before.
 *
 * The caller holds the tree's lock.
 *
 * @throws {BuildError} of stage `configure`; for dropped options it names each with what it depends on.
 */
export function configureKernel(options: ConfigureOptions): Promise<void> {
  return inStage("configure", async () => {
    const { buildDir, config, arch, kconfigKey } = options;
    const report = stageReport("configure", options.onProgress);
    const dotConfig = join(buildDir, ".config");
    const stamp = join(buildDir, ".ckptest-config");
    const wanted = formatKernelConfig(config);
    const digest = (text: string) => digestOf([arch, wanted, kconfigKey, text]);
    const done = await Deno.readTextFile(dotConfig).then(digest, () => "");
    if (done !== "" && done === await Deno.readTextFile(stamp).catch(() => undefined)) return;

    report("configuring");
    await Deno.mkdir(buildDir, { recursive: true });
    await Deno.remove(stamp).catch(() => {});
    if (options.needed) {
      await Deno.writeTextFile(dotConfig, wanted);
    } else {
      await runMake(options, "tinyconfig");
      const tiny = parseKernelConfig(await Deno.readTextFile(dotConfig), dotConfig);
      await Deno.writeTextFile(dotConfig, formatKernelConfig(overrideKernelConfig(tiny, config)));
    }
    await runMake(options, "olddefconfig");
    const text = await Deno.readTextFile(dotConfig);
    const final = parseKernelConfig(text, dotConfig);
    await checkOptions(options, final);
    await Deno.writeTextFile(stamp, await digest(text));
    report(`${config.size} options kept`);
  });
}

async function runMake(options: ConfigureOptions, target: string): Promise<void> {
  const { argv, env } = await makeCommand(options, target);
  await runStageCommand("configure", argv, { env, logPath: options.logPath, outputDir: options.buildDir });
}

/** @throws {BuildError} naming each option that the final configuration must have and does not, and what it needs */
async function checkOptions(options: ConfigureOptions, final: KernelConfig): Promise<void> {
  const { config, needed, tree, logPath } = options;
  const lacking = needed
    ? missingOptions(final, needed).map((option) => ({ name: option.name, text: neededText(option) }))
    : droppedOptions(config, final).map(({ name, wanted, found }) => ({
      name,
      text: `${name}: wanted ${wanted}, got ${found}`,
    }));
  if (lacking.length === 0) return;
  const detail: string[] = [];
  for (const { name, text } of lacking) {
    const told = await explain(tree, name.replace(/^CONFIG_/, ""));
    detail.push(text, ...told.map((line) => `    ${line}`));
  }
  const count = (what: string) => `${lacking.length} ${what}${lacking.length === 1 ? "" : "s"}`;
  const names = lacking.map(({ name }) => name).join(", ");
  throw new BuildError({
    stage: "configure",
    problem: needed
      ? `the configuration lacks ${count("needed option")}: ${names}`
      : `${count("requested option")} did not survive olddefconfig: ${names}`,
    hint: needed
      ? "set them; where one is set and gone after olddefconfig, something that it depends on is missing"
      : "an unmet dependency, another member of the same choice, or something that selects it; see below",
    detail: detail.slice(0, 60),
    logPath,
  });
}

const EXPLAINING = /^\s+(depends on|bool|tristate|int|hex|string|def_bool|def_tristate|default|select)\b/;

/** Where an option is defined, and the lines of its definition that say what it needs. */
async function explain(tree: string, name: string): Promise<string[]> {
  const definition = new RegExp(`^(menu)?config ${name}$`);
  const found: string[] = [];
  for (const file of listFiles(tree).map(pathOf)) {
    const foreign = file.startsWith("arch/") && !file.startsWith("arch/x86/") && file !== "arch/Kconfig";
    if (!basename(file).startsWith("Kconfig") || foreign) continue;
    const lines = (await Deno.readTextFile(join(tree, file))).split("\n");
    const at = lines.findIndex((line) => definition.test(line));
    if (at < 0) continue;
    const body = lines.slice(at + 1, at + 20);
    const end = body.findIndex((line) => /^\S/.test(line) || /^\s+help\b/.test(line));
    found.push(`defined in ${file}:${at + 1}`);
    found.push(...body.slice(0, end < 0 ? 20 : end).filter((b) => EXPLAINING.test(b)).map((b) => b.trim()));
  }
  return found.length > 0 ? found : ["no Kconfig file of this kernel defines it"];
}
