// SPDX-License-Identifier: MIT

import * as v from "valibot";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { parseJsonText, record } from "../../../lib/schema.ts";
import { withFileLock } from "../../../vm/host/file_lock.ts";
import { UsageError } from "../../../vm/host/errors.ts";
import {
  DIGEST_NAMES,
  type JobDigests,
  type NightlyJob,
  type NightlyPlan,
  type NightlyRun,
  REVISION,
  type Revision,
  type RunReference,
  type TrendPoint,
} from "../nightly_result.ts";
import type { ScenarioRecord } from "../../run/run_result.ts";

/** One job in one run of the past. */
export interface PastJob extends Pick<NightlyJob, "status" | "seconds"> {
  readonly run: RunReference;
  readonly digest: string | undefined;
  readonly digests: Partial<JobDigests>;
  readonly bytes: TrendPoint["bytes"];
  readonly mutants: TrendPoint["mutants"];
}

/** One scenario of a job in one run of the past. */
export interface PastScenario extends Pick<ScenarioRecord, "scenario" | "status" | "milliseconds"> {
  readonly run: RunReference;
}

/** What {@linkcode History.beginRun} notes of a run. */
type HistoryRun = Pick<
  NightlyPlan,
  "id" | "started" | "matrix" | "shard" | "whole" | "revision" | "inputs"
>;

const FILES = record(v.string(), v.string());
const COLUMNS = DIGEST_NAMES.map((name) => `${name}_digest`);
/** How long one run waits for the other to write. */
const BUSY_MS = 20_000;
const RUNS_READ = 60;
/** For so long the shards of one plan are cut by the same durations. */
const SHARD_PLAN_HOURS = 20;

type Row = Record<string, SQLInputValue>;

/**
 * The nightly runs of the past, in one SQLite file. Each write is a transaction: runs side by side wait for each other,
 * and a kill at any moment leaves what was written before.
 */
export class History implements Disposable {
  readonly #db: DatabaseSync;

  /** Use {@linkcode History.open}. */
  constructor(db: DatabaseSync) {
    this.#db = db;
  }

  /**
   * Opens a history, makes it when there is none, and brings an older one to the present version.
   *
   * @throws {UsageError} when the file is something else, or of a newer ckptest
   */
  static async open(path: string, migrations: readonly string[] = MIGRATIONS): Promise<History> {
    try {
      return await withFileLock(`${path}.lock`, () => Promise.resolve(openHistory(path, migrations)));
    } catch (error) {
      if (error instanceof UsageError) throw error;
      throw new UsageError(`${path}: the history cannot be opened: ${(error as Error).message}`);
    }
  }

  /** Notes that a run began; a run that is resumed is there already. */
  beginRun({ id, started, matrix, shard, whole, revision, inputs = {} }: HistoryRun): void {
    const part = shard ? `${shard.index}/${shard.of}` : null;
    const made = revision ? JSON.stringify(revision) : null;
    transaction(this.#db, () => {
      this.#run(
        `INSERT INTO runs (id, started, matrix, matrix_digest, shard, whole, revision)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`,
        [id, started, matrix.path, matrix.digest, part, whole ? 1 : 0, made],
      );
      for (const [digest, files] of Object.entries(inputs)) {
        this.#run("INSERT OR IGNORE INTO inputs VALUES (?, ?)", [digest, JSON.stringify(files)]);
      }
    });
  }

  endRun(
    id: string,
    { milliseconds, complete, stopped }: Pick<NightlyRun, "milliseconds" | "complete" | "stopped">,
  ): void {
    const values = [Math.round(milliseconds), complete ? 1 : 0, stopped ?? null, id];
    this.#run("UPDATE runs SET milliseconds = ?, complete = ?, stopped = ? WHERE id = ?", values);
  }

  /** Keeps a job with its scenarios; in place of what was known of it in this run. */
  recordJob(run: string, job: NightlyJob): void {
    const { digests = {} as Partial<JobDigests> } = job;
    transaction(this.#db, () => {
      this.#run("DELETE FROM jobs WHERE run = ? AND name = ?", [run, job.name]);
      this.#run(
        `INSERT INTO jobs (run, name, status, failure, reason, seconds, kernel, bytes, mutants, digest, ${COLUMNS})
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ${COLUMNS.map(() => "?")})`,
        [
          ...[run, job.name, job.status, job.failure?.kind ?? null, job.reason ?? null, job.seconds],
          job.run?.kernels.map(({ name }) => name).join(", ") ?? null,
          ...[job.run?.bytes, job.run?.mutants].map((counts) => counts ? JSON.stringify(counts) : null),
          job.digest ?? null,
          ...DIGEST_NAMES.map((name) => digests[name] ?? null),
        ],
      );
      for (const { scenario, status, milliseconds } of mergedScenarios(job)) {
        const values = [run, job.name, scenario, status, Math.round(milliseconds)];
        this.#run("INSERT INTO scenarios VALUES (?, ?, ?, ?, ?)", values);
      }
    });
  }

  /** The earlier runs of a job, the oldest first; without those named. */
  jobHistory(name: string, without: readonly string[] = []): PastJob[] {
    const rows = this.#all(
      `SELECT jobs.*, runs.started FROM jobs JOIN runs ON run = id WHERE name = ?
       ORDER BY started DESC, id DESC LIMIT ${RUNS_READ}`,
      name,
    );
    return rows.filter(({ run }) => !without.includes(String(run))).reverse().map((row) => ({
      run: runOf(row),
      status: row.status as PastJob["status"],
      seconds: Number(row.seconds),
      digest: row.digest === null ? undefined : String(row.digest),
      digests: Object.fromEntries(
        DIGEST_NAMES.map((name) => [name, row[`${name}_digest`]]).filter(([, value]) => value !== null),
      ),
      bytes: row.bytes === null ? undefined : JSON.parse(String(row.bytes)),
      mutants: row.mutants === null ? undefined : JSON.parse(String(row.mutants)),
    }));
  }

  /** The scenarios of a job in earlier runs, the oldest first; without the runs named. */
  scenarioHistory(job: string, without: readonly string[] = []): PastScenario[] {
    const rows = this.#all(
      `SELECT scenarios.*, runs.started FROM scenarios JOIN runs ON run = id
       WHERE job = ? AND run IN (
         SELECT run FROM jobs JOIN runs ON run = id WHERE name = ? ORDER BY started DESC, id DESC LIMIT ${RUNS_READ}
       ) ORDER BY started, run`,
      job,
      job,
    );
    return rows.filter(({ run }) => !without.includes(String(run))).map((row) => ({
      run: runOf(row),
      scenario: String(row.scenario),
      status: row.status as PastScenario["status"],
      milliseconds: Number(row.milliseconds),
    }));
  }

  /** Names of the jobs of the last complete run of a whole matrix; undefined when there is none. */
  lastPlan(matrix: string, without: readonly string[]): { run: string; jobs: string[] } | undefined {
    const runs = this.#all(
      "SELECT id FROM runs WHERE matrix = ? AND complete = 1 AND whole = 1 ORDER BY started DESC LIMIT 10",
      matrix,
    );
    const run = runs.map(({ id }) => String(id)).find((id) => !without.includes(id));
    if (run === undefined) return undefined;
    const jobs = this.#all("SELECT name FROM jobs WHERE run = ?", run).map(({ name }) => String(name));
    return { run, jobs };
  }

  /**
   * Durations by which all shards of a plan are cut. The first shard that asks sets them: what it records
   * meanwhile must not move the jobs of the others.
   */
  shardDurations(key: string, now: ReadonlyMap<string, number>): Map<string, number> {
    return transaction(this.#db, () => {
      const since = new Date(Date.now() - SHARD_PLAN_HOURS * 3_600_000).toISOString();
      const [row] = this.#all("SELECT durations FROM shard_plans WHERE key = ? AND made > ?", key, since);
      if (row) return new Map(JSON.parse(String(row.durations)) as [string, number][]);
      const values = [key, new Date().toISOString(), JSON.stringify([...now])];
      this.#run("INSERT OR REPLACE INTO shard_plans VALUES (?, ?, ?)", values);
      return new Map(now);
    });
  }

  revisionOf(run: string): Revision | undefined {
    const [row] = this.#all("SELECT revision FROM runs WHERE id = ? AND revision NOT NULL", run);
    return row && parseJsonText(REVISION, String(row.revision), { file: "history" });
  }

  /** What a digest was made of, by name; undefined when that is not known. */
  inputsOf(digest: string | undefined): Readonly<Record<string, string>> | undefined {
    const [row] = this.#all("SELECT files FROM inputs WHERE digest = ?", digest ?? "");
    return row && parseJsonText(FILES, String(row.files), { file: "history" });
  }

  forget(days: number): void {
    const before = new Date(Date.now() - days * 86_400_000).toISOString();
    transaction(this.#db, () => {
      this.#run("DELETE FROM runs WHERE started < ?", [before]);
      this.#run("DELETE FROM shard_plans WHERE made < ?", [before]);
      const used = COLUMNS.map((name) => `SELECT ${name} FROM jobs WHERE ${name} NOT NULL`).join(" UNION ");
      this.#run(`DELETE FROM inputs WHERE digest NOT IN (${used})`, []);
    });
  }

  [Symbol.dispose](): void {
    this.#db.close();
  }

  #run(sql: string, values: readonly SQLInputValue[]): void {
    this.#db.prepare(sql).run(...values);
  }

  #all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#db.prepare(sql).all(...values) as Row[];
  }
}

function openHistory(path: string, migrations: readonly string[]): History {
  const db = new DatabaseSync(path, { timeout: BUSY_MS });
  try {
    const number = (sql: string): number => Number(Object.values(db.prepare(sql).get()!)[0]);
    const tables = number("SELECT count(*) FROM sqlite_schema");
    if (tables > 0 && number("PRAGMA application_id") !== APPLICATION_ID) {
      throw new UsageError(`${path} is no history of ckptest, but a SQLite file of another program`);
    }
    const version = number("PRAGMA user_version");
    if (version > migrations.length) {
      throw new UsageError(
        `${path} is of a newer ckptest: expected a history of version ${migrations.length} at most, found ${version}`,
      );
    }
    db.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;");
    if (version < migrations.length) {
      transaction(db, () => {
        for (const statements of migrations.slice(version)) db.exec(statements);
        db.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${migrations.length};`);
      });
    }
    return new History(db);
  } catch (error) {
    db.close();
    throw error;
  }
}

function transaction<T>(db: DatabaseSync, work: () => T): T {
  db.exec("BEGIN IMMEDIATE");
  try {
    const result = work();
    db.exec("COMMIT");
    return result;
  } catch (error) {
    db.exec("ROLLBACK");
    throw error;
  }
}

const WORST = ["skip", "pass", "lost", "fail"];

/** The scenarios of a job, each once: what ends several guests, such as the search for leaks, is there again. */
export function mergedScenarios({ run }: NightlyJob): ScenarioRecord[] {
  const merged = new Map<string, ScenarioRecord>();
  for (const record of run?.results ?? []) {
    const seen = merged.get(record.scenario);
    const worse = seen && WORST.indexOf(seen.status) >= WORST.indexOf(record.status) ? seen : record;
    const milliseconds = (seen?.milliseconds ?? 0) + record.milliseconds;
    merged.set(record.scenario, { ...worse, milliseconds });
  }
  return [...merged.values()];
}

function runOf(row: Row): RunReference {
  return { id: String(row.run), started: String(row.started) };
}

/** Marks the file as ours (PRAGMA application_id): "ckpt". */
const APPLICATION_ID = 0x636b7074;

/**
 * Statements that bring a history from one version to the next; the first begin with an empty file. The version
 * (PRAGMA user_version) is how many were carried out. Never edit one that was released: add another.
 */
export const MIGRATIONS: readonly string[] = [
  `CREATE TABLE runs (
     id TEXT PRIMARY KEY,
     started TEXT NOT NULL,
     milliseconds INTEGER,
     matrix TEXT NOT NULL,
     matrix_digest TEXT NOT NULL,
     shard TEXT,
     whole INTEGER NOT NULL,
     complete INTEGER NOT NULL DEFAULT 0,
     stopped TEXT
   ) STRICT;
   CREATE INDEX runs_by_start ON runs (started);
   CREATE TABLE jobs (
     run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
     name TEXT NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('pass', 'fail', 'missing')),
     failure TEXT,
     reason TEXT,
     seconds REAL NOT NULL,
     kernel TEXT,
     bytes TEXT,
     digest TEXT,
     source_digest TEXT, patch_digest TEXT, config_digest TEXT, kernel_digest TEXT,
     harness_digest TEXT, scenarios_digest TEXT, options_digest TEXT,
     PRIMARY KEY (run, name)
   ) STRICT, WITHOUT ROWID;
   CREATE INDEX jobs_by_name ON jobs (name);
   CREATE TABLE scenarios (
     run TEXT NOT NULL,
     job TEXT NOT NULL,
     scenario TEXT NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('pass', 'fail', 'skip', 'lost')),
     milliseconds INTEGER NOT NULL,
     PRIMARY KEY (run, job, scenario),
     FOREIGN KEY (run, job) REFERENCES jobs (run, name) ON DELETE CASCADE
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE builds (
     run TEXT NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
     kernel_digest TEXT NOT NULL,
     seconds REAL NOT NULL,
     status TEXT NOT NULL CHECK (status IN ('pass', 'fail')),
     PRIMARY KEY (run, kernel_digest)
   ) STRICT, WITHOUT ROWID;
   CREATE TABLE shard_plans (
     key TEXT PRIMARY KEY,
     made TEXT NOT NULL,
     durations TEXT NOT NULL
   ) STRICT;`,
  "DROP TABLE builds;",
  `ALTER TABLE runs ADD COLUMN revision TEXT;
   CREATE TABLE inputs (digest TEXT PRIMARY KEY, files TEXT NOT NULL) STRICT, WITHOUT ROWID;`,
  "ALTER TABLE jobs ADD COLUMN mutants TEXT;",
];
