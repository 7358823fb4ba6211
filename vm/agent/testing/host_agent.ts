// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { AgentSession, type GuestLink } from "../agent_session.ts";
import { withDeadline } from "../../host/deadline.ts";
import { buildGuestProgram, type GuestProgramArch } from "../../initramfs/build_guest.ts";
import type { ByteConnection } from "../byte_channel.ts";
import { linkOver } from "./memory_link.ts";
import { makeTempDirectory } from "../../host/temp_directory.ts";

/**
 * An agent that runs on this machine, in namespaces of its own, with unix sockets as its ports. For tests.
 */
interface AgentProcess extends AsyncDisposable {
  readonly link: GuestLink;
  /** Settles when the agent has ended. */
  readonly status: Promise<Deno.CommandStatus>;
  /** Closes the host's end of both ports. */
  hangUp(): void;
}

/** An agent with a session. */
interface HostAgent extends AgentProcess {
  readonly session: AgentSession;
}

/** The number by which an agent on the host calls its stand-in: `flags` bytes, byte i being i modulo 251. */
export const STAND_IN_NR = 1_000_000;

/** Whether {@linkcode startHostAgent} can work here: namespaces and mounts are for root. */
export function canStartHostAgent(): boolean {
  return Deno.build.os === "linux" && Deno.uid() === 0;
}

/** How an agent on this machine is talked to. */
interface HostAgentOptions {
  /** Makes both channels of one connection, as over a serial line; by default there are two connections. */
  readonly serial?: (
    conn: ByteConnection,
  ) => { readonly control: ByteConnection; readonly data: ByteConnection };
  /** What this machine's kernel answers the agent as (vm/guest/testing/host_kernel.c). */
  readonly kernel?: "2.6.28" | "wrong-ldt";
}

/** Builds and starts an agent. */
export async function startAgentProcess(
  arch: GuestProgramArch,
  { serial, kernel }: HostAgentOptions = {},
): Promise<AgentProcess> {
  const agent = await buildGuestProgram("agent-host", arch);
  const directory = await makeTempDirectory("ckptest-agent-");
  const root = join(directory, "root");
  await Deno.mkdir(root);
  const paths = (serial ? ["serial"] : ["control", "data"]).map((name) => join(directory, name));
  const listeners = paths.map((path) => Deno.listen({ transport: "unix", path }));
  const child = new Deno.Command("setpriv", {
    args: ["--pdeathsig", "KILL", agent, ...paths, ...serial ? ["serial"] : [], root],
    env: kernel === undefined ? {} : { CKPTEST_KERNEL: kernel },
    stdin: "null",
  }).spawn();
  const conns = await Promise.all(listeners.map((listener) => listener.accept()));
  for (const listener of listeners) listener.close();
  const ports = serial?.(conns[0]!) ?? { control: conns[0]!, data: conns[1]! };
  const hangUp = () => {
    for (const conn of conns.splice(0)) conn.close();
  };
  return {
    link: linkOver(ports.control, ports.data),
    status: child.status,
    hangUp,
    async [Symbol.asyncDispose]() {
      hangUp();
      // An agent that does not notice is killed; its namespace ends with it.
      await withDeadline(child.status, 2000, "the agent's end").catch(() => child.kill("SIGKILL"));
      await child.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/**
 * Starts an agent, says hello to it, and puts the target of the same architecture at `/target` in its file
 * system.
 */
export async function startHostAgent(arch: GuestProgramArch, options?: HostAgentOptions): Promise<HostAgent> {
  const process = await startAgentProcess(arch, options);
  const session = await AgentSession.connect(process.link);
  await session.writeFile("/target", await Deno.readFile(await buildGuestProgram("target", arch)));
  return { ...process, session };
}
