// SPDX-License-Identifier: MIT

import { join } from "@std/path";
import type { GuestInfo } from "../../../vm/agent/agent_session.ts";
import { InterruptedError } from "../../../vm/host/errors.ts";
import { makeTempDirectory } from "../../../vm/host/temp_directory.ts";
import { type Snapshot, takeSnapshot } from "../../../vm/qemu/snapshot.ts";
import type { Guest } from "./guest.ts";
import type { VirtualGuest, VirtualGuestOptions } from "./virtual_guest.ts";

/** In the guest: what tells that it goes on from the snapshot that was meant. */
const NONCE_FILE = "/run/ckptest/nonce";

type Start = (
  options: Pick<VirtualGuestOptions, "info" | "snapshot" | "snapshotFile">,
) => Promise<VirtualGuest>;

interface BootedGuest {
  readonly snapshot: Snapshot;
  readonly info: GuestInfo;
  readonly nonce: string;
}

/**
 * Fresh guests that go on from where one had booted. Where that cannot be, or the guest is not the one that was meant,
 * they boot.
 */
export class GuestSnapshots implements AsyncDisposable {
  readonly #start: Start;
  #directory: string | undefined;
  #booted: Promise<BootedGuest | undefined> | undefined;

  constructor(start: Start) {
    this.#start = start;
  }

  /** Starts a guest. @throws {GuestLostError} when none boots */
  async start(): Promise<Guest> {
    const booted = await (this.#booted ??= this.#boot().catch((error) => {
      this.#booted = undefined;
      throw error;
    }));
    return (booted && await this.#goOn(booted)) ?? await this.#start({});
  }

  /** Removes the snapshot; guests that run keep what they have. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#booted?.catch(() => {});
    if (this.#directory !== undefined) await Deno.remove(this.#directory, { recursive: true });
  }

  async #boot(): Promise<BootedGuest | undefined> {
    const directory = this.#directory ??= await makeTempDirectory("ckptest-snapshot-");
    const memoryFile = join(directory, "memory");
    const nonce = crypto.randomUUID();
    await using guest = await this.#start({ snapshotFile: memoryFile });
    try {
      await guest.agent.writeFile(NONCE_FILE, nonce);
      const snapshot = await takeSnapshot(guest.machine, { memoryFile, socket: join(directory, "state") });
      return { snapshot, info: guest.agent.info, nonce };
    } catch (error) {
      if (error instanceof InterruptedError) throw error;
      return undefined;
    }
  }

  /** Undefined where the guest is not the one that was meant. */
  async #goOn({ snapshot, info, nonce }: BootedGuest): Promise<Guest | undefined> {
    let guest: VirtualGuest | undefined;
    try {
      guest = await this.#start({ snapshot, info });
      const found = new TextDecoder().decode(await guest.agent.readFile(NONCE_FILE));
      if (found === nonce) return guest;
    } catch (error) {
      if (error instanceof InterruptedError) throw error;
    }
    await guest?.[Symbol.asyncDispose]();
    return undefined;
  }
}
