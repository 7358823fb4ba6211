// SPDX-License-Identifier: MIT

import type { Scenario } from "../../lib/model/scenario.ts";
import { InterruptedError } from "../../vm/host/errors.ts";
import {
  GuestRunner,
  type GuestRunnerOptions,
  type RunKnowledge,
  type ScenarioTurn,
} from "./guest_runner.ts";
import type { FailureLimit } from "./failure_limit.ts";
import { GuestSlots } from "./guest_slots.ts";
import { Order } from "./in_order.ts";
import { faultResult, type ScenarioResult, startResult } from "./scenario_result.ts";
import { ScenarioQueue, type ScenarioTimes } from "./scenario_queue.ts";

/** How {@linkcode runCatalogue} is called. */
export interface CatalogueOptions extends GuestRunnerOptions {
  /** Why a scenario cannot run on this kernel; undefined when it can. */
  readonly skipReason: (scenario: Scenario) => string | undefined;
  /** Told of each scenario when it is begun, with how many were begun before. */
  readonly onStart?: (scenario: Scenario, index: number) => void;
  /** How many guests run side by side, perhaps with those of other kernels; one by default. */
  readonly slots?: GuestSlots | undefined;
  /** What the scenarios took before. */
  readonly times?: ScenarioTimes | undefined;
  readonly limit?: FailureLimit | undefined;
  /** Whether each scenario has a guest of its own. */
  readonly isolate?: boolean | undefined;
}

/**
 * Runs scenarios in guests that share one queue, and each of which runs its scenarios one after another
 * ({@linkcode GuestRunner}). A splat fails the scenario that was running in its guest, or gets a result of its own: at
 * boot, or after the end of the scenario that ran last. Results come in the order of the scenarios, those of boots at
 * once. When guests no longer boot, the scenarios that are left are lost.
 * An error of ckptest itself fails the scenario in which it came. An interrupted run ends early.
 */
export async function runCatalogue(
  scenarios: readonly Scenario[],
  options: CatalogueOptions,
): Promise<void> {
  await new CatalogueRun(scenarios, options).run();
}

class CatalogueRun {
  readonly #options: CatalogueOptions;
  readonly #slots: GuestSlots;
  readonly #queue: ScenarioQueue;
  readonly #order = new Order();
  readonly #turns: ReadonlyMap<Scenario, ScenarioTurn>;
  readonly #known: RunKnowledge = { reproduced: new Map(), toldAtBoot: new Set() };
  #begun = 0;
  #running = 0;
  #hasFailed = false;

  constructor(scenarios: readonly Scenario[], options: CatalogueOptions) {
    const { slots = new GuestSlots(1), times = new Map(), onResult } = options;
    this.#options = options;
    this.#slots = slots;
    this.#queue = new ScenarioQueue(scenarios, { times, guests: slots.count });
    this.#turns = new Map(scenarios.map((scenario) => {
      const { do: inTurn, end } = this.#order.turn();
      const add = (result: ScenarioResult): void => {
        options.limit?.add(result);
        inTurn(() => onResult(result));
      };
      return [scenario, { scenario, add, end }];
    }));
  }

  async run(): Promise<void> {
    const share = this.#slots.share();
    const guests = Array.from(
      { length: this.#slots.count },
      (_, index) => this.#slots.with(() => this.#runGuest(), { more: index >= share }),
    );
    const ends = await Promise.allSettled(guests);
    const failures = ends.flatMap((end) => end.status === "rejected" ? [end.reason] : []);
    if (failures.length === 0) this.#loseRest();
    this.#order.endAll();
    // A scenario that was interrupted has no result.
    const error = failures.find((reason) => !(reason instanceof InterruptedError));
    if (error !== undefined) throw error;
  }

  /** Runs scenarios in a guest until none is left. */
  async #runGuest(): Promise<void> {
    if (!this.#queue.isWorthAGuest(this.#running)) return;
    this.#running++;
    try {
      await using runner = new GuestRunner(this.#options, this.#known);
      for (let turn; (turn = this.#next());) {
        if (!await runner.run(turn)) {
          this.#queue.putBack(turn.scenario);
          break;
        }
        if (!this.#options.isolate) continue;
        await runner.finish();
        await runner[Symbol.asyncDispose]();
      }
      await runner.finish();
    } catch (error) {
      this.#hasFailed = true;
      throw error;
    } finally {
      this.#running--;
    }
  }

  /** The next scenario that can run; those that cannot have their result then. */
  #next(): ScenarioTurn | undefined {
    while (!this.#hasFailed) {
      const scenario = this.#queue.next();
      if (!scenario || this.#options.limit?.ends()) return undefined;
      const turn = this.#turns.get(scenario)!;
      try {
        this.#options.onStart?.(scenario, this.#begun++);
        const reason = this.#options.skipReason(scenario);
        if (reason === undefined) return turn;
        turn.add(startResult({ scenario: scenario.name, status: "skip", reason }));
      } catch (error) {
        turn.add(faultResult({ scenario: scenario.name }, error));
      }
      turn.end();
    }
    return undefined;
  }

  /** Where no guest boots any more, the scenarios that are left have not run. */
  #loseRest(): void {
    const { bootFailure = "no guest boots" } = this.#known;
    for (let turn; (turn = this.#next());) {
      const reason = `not run: ${bootFailure}`;
      turn.add(startResult({ scenario: turn.scenario.name, status: "lost", reason }));
      turn.end();
    }
  }
}
