// SPDX-License-Identifier: MIT
import { join } from "@std/path";
import { AgentSession, type GuestLink } from "../agent_session.ts";
import { withDeadline } from "../deadline.ts";
import { GuestLostError } from "../guest_lost_error.ts";
import { buildGuestProgram, type GuestProgramArch } from "./build_guest.ts";

/** An agent that runs on this machine, in namespaces of its own, with unix sockets as its ports. For tests. */
export interface HostAgent extends AsyncDisposable {
  readonly session: AgentSession;
  readonly link: GuestLink;
  /** Settles when the agent has ended. */
  readonly status: Promise<Deno.CommandStatus>;
}

/** Whether {@linkcode startHostAgent} can work here: namespaces and mounts are for root. */
export function canStartHostAgent(): boolean {
  return Deno.build.os === "linux" && Deno.uid() === 0;
}

/** Builds and starts an agent, and puts the target of the same architecture at `/target` in its file system. */
export async function startHostAgent(arch: GuestProgramArch): Promise<HostAgent> {
  const agent = await buildGuestProgram("agent-host", arch);
  const target = await buildGuestProgram("target", arch);
  const directory = await Deno.makeTempDir({ prefix: "ckptest-agent-" });
  const paths = [join(directory, "control"), join(directory, "data")] as const;
  const [control, data] = paths.map((path) => Deno.listen({ transport: "unix", path }));
  const child = new Deno.Command("setpriv", {
    args: ["--pdeathsig", "KILL", agent, ...paths, await makeRoot(directory)],
    stdin: "null",
  }).spawn();
  const conns = [await control!.accept(), await data!.accept()] as const;
  const link = hostLink(conns);
  const session = await AgentSession.connect(link);
  await session.writeFile("/target", await Deno.readFile(target));
  return {
    session,
    link,
    status: child.status,
    async [Symbol.asyncDispose]() {
      for (const conn of conns) conn.close();
      for (const listener of [control, data]) listener!.close();
      await child.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

async function makeRoot(directory: string): Promise<string> {
  const root = join(directory, "root");
  await Deno.mkdir(root);
  return root;
}

function hostLink([control, data]: readonly [Deno.Conn, Deno.Conn]): GuestLink {
  const argv = ["agent-host"];
  return {
    control,
    data,
    lost: (reason, awaited, detail = "") =>
      new GuestLostError({ reason, awaited, detail, consoleTail: "", argv }),
    waitFor: ({ awaited, deadlineMs }, work) => withDeadline(work, deadlineMs, awaited),
  };
}
