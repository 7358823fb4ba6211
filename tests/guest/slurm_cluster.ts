// SPDX-License-Identifier: MIT

import { exists } from "@std/fs";
import { join } from "@std/path";
import { findTool } from "../../vm/host/find_tool.ts";

/** What a cluster of our own consists of. */
const PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "scontrol", "scancel", "unshare", "setpriv"];
/** A node dies with all that runs on it, and everything dies with the test, whatever ends that. */
const IN_A_NAMESPACE = ["--pdeathsig", "KILL", "unshare", "--pid", "--fork", "--kill-child", "--mount-proc"];
const TRIES = 3;
const POLL_MS = 100;

/** What `scontrol show job` says of a job. */
interface SlurmJob {
  readonly state: string;
  readonly exitCode: string;
  readonly restarts: number;
}

/**
 * A Slurm cluster of this machine alone: a controller and two nodes of one processor, each in a PID namespace of
 * its own, with munge and all files in a directory.
 */
export class SlurmCluster implements AsyncDisposable {
  readonly #directory: string;
  readonly #daemons = new Map<string, Deno.ChildProcess>();

  /** Use {@linkcode SlurmCluster.start}. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Why there can be no cluster on this machine; undefined when there can. */
  static async lacks(): Promise<string | undefined> {
    const found = await Promise.all(PROGRAMS.map((name) => findTool(name)));
    const missing = PROGRAMS.filter((_, index) => found[index] === undefined);
    if (missing.length > 0) return `${missing.join(", ")} not installed (Debian: slurm-wlm, munge)`;
    return Deno.uid() === 0 ? undefined : "needs root";
  }

  /** Starts one in an empty directory and waits until its nodes are there. */
  static async start(directory: string): Promise<SlurmCluster> {
    for (let tries = 1;; tries++) {
      const cluster = new SlurmCluster(join(directory, `cluster${tries}`));
      try {
        await cluster.#begin();
        return cluster;
      } catch (error) {
        await cluster[Symbol.asyncDispose]();
        // Another program may have the ports.
        if (tries === TRIES) throw error;
      }
    }
  }

  /** Variables by which programs find the cluster. */
  get env(): Record<string, string> {
    return { SLURM_CONF: join(this.#directory, "slurm.conf") };
  }

  /** Starts the daemon of a node, `n1` or `n2`. */
  startNode(name: string): void {
    this.#daemon(name, ["slurmd", "-D", "-N", name]);
  }

  /** Takes the power from a node: its daemon and all processes of its jobs die. */
  async killNode(name: string): Promise<void> {
    const daemon = this.#daemons.get(name)!;
    this.#daemons.delete(name);
    await this.#kill(daemon);
  }

  /** Runs a client program of Slurm to its end; gives what it printed. */
  async run(...argv: string[]): Promise<string> {
    const { code, stdout, stderr } = await new Deno.Command("setpriv", {
      args: ["--pdeathsig", "KILL", ...argv],
      env: this.env,
      stdin: "null",
    }).output();
    const decoder = new TextDecoder();
    if (code !== 0) throw new Error(`${argv.join(" ")}: status ${code}: ${decoder.decode(stderr)}`);
    return decoder.decode(stdout);
  }

  /** What became of a job, or of a task such as `1_2`. */
  async job(id: string): Promise<SlurmJob> {
    const text = await this.run("scontrol", "--oneliner", "show", "job", id);
    const field = (name: string): string => new RegExp(`\\b${name}=(\\S+)`).exec(text)?.[1] ?? "";
    return { state: field("JobState"), exitCode: field("ExitCode"), restarts: Number(field("Restarts")) };
  }

  /** Waits until something is true; the message names it when it does not come to be. */
  async until(what: string, seconds: number, test: () => Promise<boolean>): Promise<void> {
    const end = performance.now() + seconds * 1000;
    while (!await test()) {
      if (performance.now() > end) throw new Error(`not within ${seconds} s: ${what}\n${await this.#logs()}`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const name of [...this.#daemons.keys()].reverse()) await this.killNode(name);
  }

  /** Ends `unshare`, and with it the namespace: its first process is gone when all others are. */
  async #kill(daemon: Deno.ChildProcess): Promise<void> {
    const { pid } = daemon;
    const children = await this.run("cat", `/proc/${pid}/task/${pid}/children`).catch(() => "");
    try {
      daemon.kill("SIGKILL");
    } catch {
      // It ended by itself.
    }
    await daemon.status;
    for (const first of children.trim().split(" ").filter((word) => word !== "")) {
      await this.until(`process ${first} is gone`, 10, () => {
        return this.run("stat", `/proc/${first}`).then(() => false, () => true);
      });
    }
  }

  async #begin(): Promise<void> {
    const directory = this.#directory;
    // munged insists that others may not write where its socket lies, and may come there.
    await Deno.mkdir(join(directory, "state"), { recursive: true, mode: 0o755 });
    const file = (name: string): string => join(directory, name);
    await Deno.writeFile(file("munge.key"), crypto.getRandomValues(new Uint8Array(1024)), { mode: 0o600 });
    await Deno.writeTextFile(file("slurm.conf"), this.#configuration());
    this.#daemon("munged", [
      ...["munged", "--foreground", "--force", "--key-file", file("munge.key")],
      ...["--socket", file("munge.socket"), "--pid-file", file("munged.pid")],
      ...["--log-file", file("munged.log"), "--seed-file", file("munged.seed")],
    ]);
    await this.until("munged has its socket", 10, () => exists(file("munge.socket")));
    this.#daemon("slurmctld", ["slurmctld", "-D", "-i"]);
    for (const node of ["n1", "n2"]) this.startNode(node);
    const isIdle = async (): Promise<boolean> => {
      const text = await this.run("scontrol", "show", "nodes").catch(() => "");
      return (text.match(/State=IDLE /g) ?? []).length === 2;
    };
    await this.until("both nodes are idle", 30, isIdle);
  }

  #configuration(): string {
    const directory = this.#directory;
    const port = 20_000 + 4 * Math.floor(Math.random() * 2500);
    const node = (name: string, port: number): string =>
      `NodeName=${name} NodeHostname=localhost NodeAddr=127.0.0.1 Port=${port} CPUs=1`;
    return [
      "ClusterName=ckptest",
      "SlurmctldHost=localhost(127.0.0.1)",
      `SlurmctldPort=${port}`,
      "SlurmUser=root",
      "SlurmdUser=root",
      "AuthType=auth/munge",
      "CredType=cred/munge",
      // A job that lost its node begins again when the credential of its first start has expired.
      `AuthInfo=socket=${directory}/munge.socket,cred_expire=5`,
      `StateSaveLocation=${directory}/state`,
      `SlurmdSpoolDir=${directory}/spool.%n`,
      `SlurmctldPidFile=${directory}/slurmctld.pid`,
      `SlurmdPidFile=${directory}/%n.pid`,
      `SlurmctldLogFile=${directory}/slurmctld.log`,
      `SlurmdLogFile=${directory}/%n.log`,
      "ProctrackType=proctrack/linuxproc",
      "TaskPlugin=task/none",
      "MpiDefault=none",
      "JobAcctGatherType=jobacct_gather/none",
      "AccountingStorageType=accounting_storage/none",
      "SelectType=select/cons_tres",
      "SelectTypeParameters=CR_Core",
      "SchedulerParameters=sched_interval=2,bf_interval=2",
      "CommunicationParameters=NoInAddrAny,NoCtldInAddrAny",
      // One processor each, whatever the machine has.
      "SlurmdParameters=config_overrides",
      // A node that does not answer is down within half a minute, and up again when it returns.
      "SlurmdTimeout=5",
      "ReturnToService=2",
      "KillWait=20",
      "MinJobAge=3600",
      node("n1", port + 1),
      node("n2", port + 2),
      "PartitionName=long Nodes=n[1-2] Default=YES MaxTime=INFINITE State=UP",
      "",
    ].join("\n");
  }

  #daemon(name: string, argv: readonly string[]): void {
    const child = new Deno.Command("setpriv", {
      args: [...IN_A_NAMESPACE, ...argv],
      env: this.env,
      ...{ stdin: "null", stdout: "null", stderr: "null" } as const,
    }).spawn();
    this.#daemons.set(name, child);
  }

  async #logs(): Promise<string> {
    const names = ["munged.log", "slurmctld.log", "n1.log", "n2.log"];
    const texts = await Promise.all(names.map(async (name) => {
      const text = await Deno.readTextFile(join(this.#directory, name)).catch(() => "");
      return `--- ${name}\n${text.split("\n").slice(-15).join("\n")}`;
    }));
    return texts.join("\n");
  }
}
