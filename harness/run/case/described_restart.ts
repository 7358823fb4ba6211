// SPDX-License-Identifier: MIT

import { PAGE_SIZE } from "../../../lib/abi/arch.ts";
import { signalBit, SIGNALS } from "../../../lib/abi/signals.ts";
import { keysOf } from "../../../lib/schema.ts";
import { joinBytes } from "../../../lib/bytes.ts";
import { restartedImageFindings, stoppedProcess } from "../../../lib/compare/restarted_image.ts";
import type { Finding } from "../../../lib/image/finding.ts";
import { readNodes } from "../../../lib/image/image.ts";
import { RECORD_HEADER } from "../../../lib/image/structs.ts";
import type { CompiledStop } from "../../../lib/model/compile_scenario.ts";
import { changedImage, imageChange, type ImageChangeName } from "../../../lib/model/image_changes.ts";
import { ImageEditor } from "../../../lib/model/image_editor.ts";
import { endsTarget, type RestartPlan } from "../../../lib/model/predict_restart.ts";
import { CAPABILITIES, type RestartSpec } from "../../../lib/model/restart.ts";
import { taskState } from "../../../lib/model/tracer.ts";
import { restartedPrediction } from "../../../lib/model/restarted_prediction.ts";
import type { GuestAgent } from "../guest/guest.ts";
import { OTHER_TARGET } from "../guest/guest_programs.ts";
import type { StopOutcome } from "./observe_checkpoint.ts";
import { awaitConditions } from "./prepare_target.ts";
import {
  changeFindings,
  endOf,
  IMAGE_FILE,
  outcomeName,
  positionFindings,
  restartFinding,
  type RestartStopOptions,
} from "./restart_stop.ts";
import { readLeakCounters, watchForLeaks } from "../../check/leaks/leak_counters.ts";
import { type FromCaller, lookAtProcess, restartedProcessFindings } from "../../check/restarted_process.ts";

/** A copy of the target's program, for a caller that is to run another file. */
const CALLER = "/run/ckptest/caller";
const OPEN_FLAGS = { O_WRONLY: 1, O_RDWR: 2, O_PATH: 0o10000000 } as const;
const SETTINGS = {
  max_map_count: "/proc/sys/vm/max_map_count",
  overcommit_memory: "/proc/sys/vm/overcommit_memory",
  mmap_min_addr: "/proc/sys/vm/mmap_min_addr",
  restart_unprivileged: "/sys/module/kernel/parameters/restart_unprivileged",
} as const;

type Undo = () => Promise<unknown>;

/**
 * Restarts a stopped target as its stop describes it, and judges what comes of it. A target that nobody could take the
 * place of stays where it is.
 */
export async function describedRestart(
  agent: GuestAgent,
  stop: CompiledStop & { readonly restart: RestartPlan },
  plain: Pick<StopOutcome, "image">,
  { pid: old, wordSize, series, checkpoint }: Omit<RestartStopOptions, "how" | "user">,
): Promise<{ stops: StopOutcome[]; pid: number | undefined; isEnded: boolean }> {
  const { spec, outcome: { name, why }, changes } = stop.restart;
  const { generations = 1, settings = {} } = spec;
  const neverOvercommits = settings.overcommit_memory === 2;
  const stops: StopOutcome[] = [];
  const attempt = async (
    pid: number,
    image: Uint8Array,
    change: ImageChangeName | undefined,
  ) => {
    const file = imageOf(image, stop.restart, change);
    await agent.writeFile(IMAGE_FILE, file);
    // A caller that is refused says itself that it is as it was.
    const was = name === "ok" ? await lookAtProcess(agent, pid) : undefined;
    const { result, ...made } = await callRestart(agent, stop.restart, { pid, image });
    const actual = outcomeName(result);
    const findings: Finding[] = [];
    if (actual !== name) {
      const reason = (changes.length > 1 && change && imageChange(change).problem?.[1]) || why;
      const message = name === "ok" ? "restart(2) must take the image" : `restart(2) must refuse: ${reason}`;
      findings.push(restartFinding("E_RESTART", { message, expected: name, actual }));
    }
    findings.push(...changeFindings(made.changed));
    const begin = spec.from?.position ?? 0;
    if (isSeekable(spec) && spec.stays !== "running" && actual === name && result <= 0n) {
      findings.push(...positionFindings(made.position, actual === "ok" ? file.length : begin));
    }
    return { ...made, actual, findings, was };
  };
  const attemptInRounds = async (once: () => ReturnType<typeof attempt>) => {
    if (spec.times === undefined) return await once();
    const { made, leaks } = await watchForLeaks(agent, { times: spec.times, smallest: SMALLEST_LEAK }, once);
    made.findings.push(...leaks.map((leak) => ({ ...leak, path: "restart(2)" })));
    return made;
  };
  if (name !== "ok") {
    for (const change of changes) {
      const label = changes.length > 1 ? `${stop.label}: ${change}` : stop.label;
      const { findings, actual } = await attemptInRounds(() => attempt(old, plain.image, change));
      stops.push(endOf(`${label}, restarted`, findings));
      if (actual !== name || !isKept(stop.restart)) return { stops, pid: undefined, isEnded: true };
    }
    return { stops, pid: undefined, isEnded: false };
  }
  let pid = old;
  let files: number | undefined;
  for (let nr = 1, from = plain; nr <= generations; nr++) {
    const label = `${stop.label}, restarted${nr > 1 ? ` ${nr} times` : ""}`;
    const made = await attempt(pid, from.image, changes[0]);
    const { findings } = made;
    if (made.actual !== "ok") {
      return { stops: [...stops, endOf(label, findings)], pid: undefined, isEnded: true };
    }
    pid = made.pid;
    // Whether it was restored shows where it stops next, or ends.
    if (spec.stays === "running") {
      return { stops: [...stops, endOf(label, findings)], pid, isEnded: false };
    }
    const expected = { image: from.image, ...fromCaller(spec) };
    findings.push(...restartedProcessFindings(await lookAtProcess(agent, pid), made.was!, expected));
    const conditions = await awaitConditions(agent, { pid, waitsForMerge: stop.waitsForMerge });
    const state = taskState(spec.stays ? "attach" : "signal", series);
    const predicted = restartedPrediction(stop.prediction, wordSize, neverOvercommits);
    const judged = await checkpoint({ ...stop, label, prediction: { ...predicted, taskState: state } }, pid);
    const process = { ...stoppedProcess(pid), state, neverOvercommits };
    const changed = restartedImageFindings(judged.image, from.image, process);
    findings.push(...conditions, ...judged.findings, ...changed);
    stops.push({ ...judged, findings });
    from = judged;
    // Each process before is gone by now, and what it had open.
    if (generations >= MANY_GENERATIONS && (nr === 1 || nr === generations)) {
      const counters = await readLeakCounters(agent);
      if (files !== undefined) findings.push(...fileFindings(files, counters.files, nr));
      files = counters.isExact ? counters.files : undefined;
    }
  }
  return { stops, pid, isEnded: false };
}

/** Whether the image comes from the agent's own open file, whose position tells how much was read. */
function isSeekable({ from: { kind = "file", flags = [] } = {} }: RestartSpec): boolean {
  return kind === "file" && flags.length === 0;
}

/** Of an object, in bytes. What the kernel keeps for new processes is about so much of a few calls. */
const SMALLEST_LEAK = 512;
/** Of so many and more what each leaves open shows: a few files more or less are open at any time. */
const MANY_GENERATIONS = 5;

/** What processes of a row leave open, each of them. */
function fileFindings(before: number, after: number, generations: number): Finding[] {
  const grown = after - before;
  if (grown < generations - 1) return [];
  const message = "each process that was restarted leaves a file open";
  return [restartFinding("E_LEAK", { message, expected: "less than one for each", actual: `${grown} more` })];
}

/** What of the caller a restarted process shows. */
function fromCaller({ caller = {} }: RestartSpec): FromCaller {
  const { has = [], program, capabilities, uid = 0 } = caller;
  const mayChoose = !caller.userNamespace &&
    (capabilities?.some((one) => one === "CAP_CHECKPOINT_RESTORE" || one === "CAP_SYS_ADMIN") ??
      uid === 0);
  const keepsProgram = program === "not executable" || !mayChoose;
  return {
    ...keepsProgram && { exe: program ? CALLER : "/target" },
    pending: has.includes("pending") ? signalBit(SIGNALS.SIGURG) : 0n,
    isSmall: has.includes("small"),
  };
}

/** Whether the target lives on where the call is refused; one whose program is to be written to cannot. */
function isKept({ spec, outcome }: RestartPlan): boolean {
  return outcome.name !== "ok" && !endsTarget(spec);
}

async function callRestart(
  agent: GuestAgent,
  plan: RestartPlan,
  { pid, image }: { readonly pid: number; readonly image: Uint8Array },
): Promise<Awaited<ReturnType<GuestAgent["restart"]>>> {
  const { from = {}, caller = {}, settings = {} } = plan.spec;
  const undo: Undo[] = [];
  for (const name of keysOf(SETTINGS)) {
    const value = settings[name];
    if (value === undefined) continue;
    const before = await agent.readFile(SETTINGS[name]);
    undo.push(() => agent.writeFile(SETTINGS[name], before));
    // The others are the caller's to set: its own start needs mappings.
    const isCallers = name === "max_map_count" || name === "mmap_min_addr";
    if (!isCallers) await agent.writeFile(SETTINGS[name], String(value));
  }
  if (plan.spec.mapped) undo.push(await changeName(agent, plan.path!, plan.spec.mapped.becomes));
  const isOther = caller.program === "of the other word size";
  if (caller.program && !isOther) {
    // A new file each time: where a restart went wrong a process still executes the last one.
    await agent.writeFile(`${CALLER}.new`, await agent.readFile("/target"));
    await agent.call("chmod", `${CALLER}.new`, 0o755);
    await agent.call("rename", `${CALLER}.new`, CALLER);
    undo.push(() => agent.call("chmod", "/target", 0o755));
  }
  try {
    return await agent.restart({
      pid,
      image: IMAGE_FILE,
      how: from.kind === "pipe" || from.kind === "socket" ? from.kind : "file",
      what: callerWords(plan.spec, image).join(","),
      flags: caller.flags === 1 ? 1 : 0,
      traced: plan.spec.stays === "traced" ? 1 : 0,
      runs: plan.spec.stays === "running" ? 1 : 0,
      keep: isKept(plan) ? 1 : 0,
      ...caller.program && { path: isOther ? OTHER_TARGET : CALLER },
    });
  } finally {
    for (const one of undo.reverse()) await one();
  }
}

/** What vm/guest/target/restart.c is told. */
function callerWords(
  { from = {}, caller = {}, settings = {}, times }: RestartSpec,
  image: Uint8Array,
): string[] {
  const { flags = [], kind = "file", position } = from;
  const opened = (["O_WRONLY", "O_RDWR", "O_PATH"] as const).find((flag) => flags.includes(flag));
  const { limits = {} } = caller;
  const mask = (caller.capabilities ?? []).reduce((all, one) => all | 1n << BigInt(CAPABILITIES[one]), 0n);
  const numbers: Readonly<Record<string, number | bigint | undefined>> = {
    ...{ flags: caller.flags, pid: caller.pid === "own" ? undefined : caller.pid, times },
    ...{ uid: caller.uid, gid: caller.gid, data: limits.data, memlock: limits.memlock },
    as: addressSpaceLimit(limits, image),
    caps: caller.capabilities && mask,
    reopen: opened && OPEN_FLAGS[opened],
    seek: position,
    maps: mostMappings(settings, image),
    lowest: settings.mmap_min_addr,
    ...caller.interruptedBy && { [caller.interruptedBy === "SIGKILL" ? "kill" : "alarm"]: INTERRUPT_US },
  };
  const words = {
    userns: caller.userNamespace,
    own: caller.pid === "own",
    pidns: caller.pidNamespace,
    closed: kind === "none",
    pipe: kind === "empty pipe",
    nonblock: flags.includes("O_NONBLOCK"),
    [kind]: ["directory", "epoll", "zero"].includes(kind),
    mdwe: caller.denies,
    legacy: limits.stack,
    int80: caller.entry,
    writes: caller.program === "opened",
    unexecutable: caller.program === "not executable",
  };
  return [
    ...Object.entries(numbers).flatMap(([word, value]) =>
      value === undefined ? [] : [`${word}:${unsigned(value)}`]
    ),
    ...Object.entries(words).flatMap(([word, isSaid]) => isSaid ? [word] : []),
    ...caller.has ?? [],
  ];
}

/** One mapping more than the parameter says is what mmap(2) leaves at most. */
function mostMappings(
  { max_map_count: most }: NonNullable<RestartSpec["settings"]>,
  image: Uint8Array,
): number | undefined {
  if (typeof most === "number" || most === undefined) return most;
  const count = Number(new ImageEditor(image).get("MM", "map_count"));
  return most === "just enough" ? count - 1 : count - 2;
}

/** RLIMIT_AS in bytes. */
function addressSpaceLimit(
  { as: limit }: NonNullable<NonNullable<RestartSpec["caller"]>["limits"]>,
  image: Uint8Array,
): number | undefined {
  if (typeof limit === "number" || limit === undefined) return limit;
  const areas = readNodes(image).nodes.flatMap((node) =>
    node.kind === "record" && node.name === "VMA" ? [node.fields] : []
  );
  const size = areas.reduce((all, { vm_start, vm_end }) => all + Number(vm_end - vm_start), 0);
  return limit === "just enough" ? size : size - PAGE_SIZE;
}

/** Long enough for a caller to come to its wait. */
const INTERRUPT_US = 200_000;

function unsigned(value: number | bigint): bigint {
  return BigInt.asUintN(64, BigInt(value));
}

/** The image with what is changed about it, behind what the file holds before it. */
function imageOf(
  image: Uint8Array,
  { spec, path }: RestartPlan,
  change: ImageChangeName | undefined,
): Uint8Array {
  const { image: { cut = Number.POSITIVE_INFINITY, name } = {}, from: { position = 0 } = {} } = spec;
  let changed = change ? changedImage(image, change) : image;
  if (name) {
    const { nodes } = readNodes(image);
    const wanted = new TextEncoder().encode(`${path}\0`).join();
    const node = nodes.find((one) =>
      one.kind === "record" && one.name === "FNAME" && one.payload.join() === wanted
    )!;
    const other = new TextEncoder().encode(`${name.is}\0`);
    const editor = new ImageEditor(changed);
    const LEN = 2;
    editor.write(node.offset + LEN, other.length, 2);
    editor.replace(node.offset + RECORD_HEADER.size, node.length - RECORD_HEADER.size, other);
    changed = editor.bytes;
  }
  return joinBytes([new Uint8Array(position).fill(0x55), changed.subarray(0, cut)]);
}

/** Has something else behind the name of a mapped file; gives what makes it what it was. */
async function changeName(
  agent: GuestAgent,
  path: string,
  becomes: NonNullable<RestartSpec["mapped"]>["becomes"],
): Promise<Undo> {
  const directory = path.slice(0, path.lastIndexOf("/"));
  const [S_IFIFO, S_IFCHR, MODE, DEV_NULL, MNT_DETACH] = [0o010000, 0o020000, 0o644, 0x103, 2];
  const [MS_NOEXEC, MS_REMOUNT, MS_BIND] = [8, 32, 4096];
  const replace = async (name: string, put: () => Promise<unknown>, isThere = true): Promise<Undo> => {
    await agent.call("rename", name, `${name}.away`);
    await put();
    return async () => {
      if (isThere) await agent.call("unlink", name);
      await agent.call("rename", `${name}.away`, name);
    };
  };
  switch (becomes) {
    case "gone":
      return await replace(path, () => Promise.resolve(), false);
    case "fifo":
      return await replace(path, () => agent.call("mknod", path, S_IFIFO | MODE, 0));
    case "device":
      return await replace(path, () => agent.call("mknod", path, S_IFCHR | MODE, DEV_NULL));
    case "link":
      return await replace(path, () => agent.call("symlink", `${path}.away`, path));
    case "empty":
      return await replace(path, () => agent.writeFile(path, ""));
    case "below a file":
      return await replace(directory, () => agent.writeFile(directory, ""));
    case "below a loop":
      return await replace(directory, () => agent.call("symlink", directory, directory));
    case "in /proc":
      return await replace(directory, () => agent.call("symlink", "/proc/self", directory));
    case "in sysfs":
      return await replace(directory, () => agent.call("symlink", "/sys/kernel", directory));
    case "in hugetlbfs":
      await agent.mount({ type: "hugetlbfs", directory });
      await agent.writeFile(path, "");
      return () => agent.call("umount2", directory, MNT_DETACH);
    case "unreadable":
      await agent.call("chmod", path, 0);
      return () => agent.call("chmod", path, MODE);
    case "noexec":
      await agent.call("mount", "none", directory, "", MS_REMOUNT | MS_BIND | MS_NOEXEC, "");
      return () => agent.call("mount", "none", directory, "", MS_REMOUNT | MS_BIND, "");
  }
}
