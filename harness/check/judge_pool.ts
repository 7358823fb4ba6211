// SPDX-License-Identifier: MIT

import type { Comparison } from "../../lib/compare/compare_image.ts";
import { InterruptedError } from "../../vm/host/errors.ts";
import type { ImageCase, Judging } from "./judge_image.ts";
import type { Judgement } from "./judge_worker.ts";

interface Waiting {
  readonly one: ImageCase;
  readonly answer: PromiseWithResolvers<Comparison>;
}

/** Threads that judge images while guests go on. They are started when they are needed, and may do nothing else. */
export class JudgePool implements Disposable {
  readonly #most: number;
  readonly #signal: AbortSignal | undefined;
  readonly #workers = new Map<Worker, Waiting | undefined>();
  #waiting: Waiting[] = [];

  /**
   * @param most how many there are at most
   * @param signal ends them
   */
  constructor(most: number, signal?: AbortSignal) {
    this.#most = most;
    this.#signal = signal;
    signal?.addEventListener("abort", this.#end);
  }

  /** How many of them judge an image now. */
  get busy(): number {
    return [...this.#workers.values()].filter((one) => one !== undefined).length;
  }

  /** Has an image judged, rejecting with what the judge threw, and with InterruptedError once the signal has come. */
  readonly judge: Judging = (one) => {
    const answer = Promise.withResolvers<Comparison>();
    this.#waiting.push({ one, answer });
    if (this.#signal?.aborted) this.#end();
    else this.#next();
    return answer.promise;
  };

  [Symbol.dispose](): void {
    this.#signal?.removeEventListener("abort", this.#end);
    this.#end();
  }

  readonly #end = (): void => {
    const left = [...this.#workers.values(), ...this.#waiting];
    for (const worker of this.#workers.keys()) worker.terminate();
    this.#workers.clear();
    this.#waiting = [];
    for (const one of left) {
      one?.answer.reject(new InterruptedError(this.#signal?.reason ?? "the run is over"));
    }
  };

  #next(): void {
    if (this.#waiting.length === 0) return;
    const idle = this.#workers.entries().find(([, busy]) => busy === undefined)?.[0];
    const worker = idle ?? (this.#workers.size < this.#most ? this.#start() : undefined);
    if (!worker) return;
    const next = this.#waiting.shift()!;
    this.#workers.set(worker, next);
    worker.postMessage(next.one);
  }

  #start(): Worker {
    const worker = new Worker(new URL("judge_worker.ts", import.meta.url), {
      ...{ type: "module", name: "judge", deno: { permissions: "none" } },
    });
    worker.onmessage = ({ data }: MessageEvent<Judgement>) => {
      const done = this.#workers.get(worker);
      if (!done) return;
      this.#workers.set(worker, undefined);
      if ("error" in data) done.answer.reject(data.error);
      else done.answer.resolve(data.comparison);
      this.#next();
    };
    worker.onerror = (event) => {
      event.preventDefault();
      const done = this.#workers.get(worker);
      this.#workers.delete(worker);
      worker.terminate();
      done?.answer.reject(event.error ?? new Error(event.message));
      this.#next();
    };
    return worker;
  }
}
