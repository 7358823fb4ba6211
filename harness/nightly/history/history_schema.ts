// SPDX-License-Identifier: MIT

/** Marks the file as ours (PRAGMA application_id): "ckpt". */
export const APPLICATION_ID = 0x636b7074;

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
];
