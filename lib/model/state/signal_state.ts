// SPDX-License-Identifier: MIT
import { SA, SIG_DFL, SIG_IGN, signalBit, SS } from "../../abi/signals.ts";

/** What a signal does (struct sigaction of the kernel). */
export interface SignalAction {
  /** SIG_DFL, SIG_IGN or an address. */
  readonly handler: bigint;
  /** SA_..., those of the kernel's own among them. */
  readonly flags: bigint;
  /** Where a handler returns to. */
  readonly restorer: bigint;
  /** What is blocked in a handler besides. */
  readonly mask: bigint;
}

/** The alternate stack as sigaltstack(2) tells it. */
export interface SignalStack {
  /** Where it begins. */
  readonly sp: bigint;
  /** Bytes; 0 where there is none. */
  readonly size: bigint;
  /** SS_DISABLE, SS_AUTODISARM. */
  readonly flags: number;
}

/** What a task does about signals, as an image has it. */
export interface SignalPrediction {
  /** The mask: bit n - 1 is signal n. */
  readonly blocked: bigint;
  /** Where handlers with SA_ONSTACK run. */
  readonly stack: SignalStack;
  /** By number, ascending: those that are not the default. */
  readonly actions: ReadonlyMap<number, SignalAction>;
}

const NO_STACK: SignalStack = { sp: 0n, size: 0n, flags: SS.DISABLE };

/** The signals of a task (kernel/signal.c). */
export class SignalState {
  blocked = 0n;
  /** Those that wait until they are not blocked any more: in no image. */
  pending = 0n;
  stack: SignalStack = NO_STACK;
  #actions = new Map<number, SignalAction>();

  /** What an image has of it. */
  predicted(): SignalPrediction {
    const { blocked, stack } = this;
    return { blocked, stack, actions: new Map([...this.#actions].toSorted(([a], [b]) => a - b)) };
  }

  /** sigaction(2). */
  set(number: number, action: SignalAction): void {
    const { handler, flags, restorer, mask } = action;
    if ((handler | (flags & ~SA.IA32_ABI) | restorer | mask) === 0n) this.#actions.delete(number);
    else this.#actions.set(number, action);
  }

  /** Whether a signal that comes does nothing but wait, be ignored, or call a handler: get_signal(). */
  isHarmless(number: number): boolean {
    return (this.blocked & signalBit(number)) !== 0n ||
      (this.#actions.get(number)?.handler ?? SIG_DFL) !== SIG_DFL;
  }

  /** A signal comes. @throws {RangeError} when its frame would be where no step looks */
  deliver(number: number): void {
    const action = this.#actions.get(number);
    if ((this.blocked & signalBit(number)) !== 0n) return void (this.pending |= signalBit(number));
    if (action === undefined || action.handler === SIG_IGN) return;
    if ((action.flags & SA.ONSTACK) !== 0n) {
      throw new RangeError("the frame on the alternate stack is not predicted");
    }
    // SA_ONESHOT of old: the rest of the action stays.
    if ((action.flags & SA.RESETHAND) !== 0n) this.set(number, { ...action, handler: SIG_DFL });
  }

  /** execve(2): what is ignored or blocked stays so (flush_signal_handlers). */
  exec(): void {
    // begin_new_exec (fs/exec.c) leaves the flags of the stack; SS_DISABLE follows from its size.
    this.stack = { ...NO_STACK, flags: SS.DISABLE + (this.stack.flags >= SS.AUTODISARM ? SS.AUTODISARM : 0) };
    for (const [number, { handler }] of this.#actions) {
      this.set(number, {
        handler: handler === SIG_IGN ? SIG_IGN : SIG_DFL,
        flags: 0n,
        restorer: 0n,
        mask: 0n,
      });
    }
  }

  clone(): SignalState {
    const copy = new SignalState();
    copy.blocked = this.blocked;
    copy.stack = this.stack;
    // Those of a process are not its child's.
    copy.#actions = new Map(this.#actions);
    return copy;
  }
}
