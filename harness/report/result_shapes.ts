// SPDX-License-Identifier: MIT

import type { Shape } from "./shape.ts";

const BYTES: Shape = {
  fields: {
    total: "number",
    predicted: "number",
    observed: "number",
    volatile: "number",
    unexplained: "number",
  },
};

const FINDING: Shape = {
  fields: {
    id: "string",
    verdict: { oneOf: ["malformed", "invalid", "mismatch", "note"] },
    path: "string",
    offset: { optional: "number" },
    message: "string",
    expected: { optional: "string" },
    actual: { optional: "string" },
  },
};

const SPLAT: Shape = {
  fields: {
    kind: "string",
    title: "string",
    fingerprint: "string",
    frames: { list: "string" },
    lines: { list: "string" },
    allowed: { optional: "string" },
  },
};

const STOP: Shape = {
  fields: {
    label: "string",
    bytes: "number",
    pages: "number",
    counts: BYTES,
    findings: { list: FINDING },
  },
};

const SCENARIO: Shape = {
  fields: {
    platform: "string",
    scenario: "string",
    phase: { optional: { oneOf: ["boot", "afterwards"] } },
    status: { oneOf: ["pass", "fail", "skip", "lost"] },
    reason: { optional: "string" },
    reproduced: { optional: { fields: { times: "number", of: "number" } } },
    milliseconds: "number",
    findings: { list: FINDING },
    splats: { list: SPLAT },
    stops: { list: STOP },
    reproduce: "string",
    files: { optional: "string" },
  },
};

const KERNEL: Shape = {
  fields: {
    platform: "string",
    name: "string",
    key: { optional: "string" },
    digests: { optional: { fields: { source: "string", patch: "string", config: "string" } } },
    accelerator: "string",
  },
};

const SCENARIO_COUNTS: Shape = {
  fields: { passed: "number", failed: "number", lost: "number", skipped: "number" },
};

/** Shape of a RunResult. */
export const RUN_SHAPE: Shape = {
  fields: {
    schema: "number",
    started: "string",
    milliseconds: "number",
    kernels: { list: KERNEL },
    boots: { optional: { fields: { count: "number", milliseconds: "number" } } },
    counts: SCENARIO_COUNTS,
    bytes: BYTES,
    volatile: { record: { fields: { bytes: "number", reason: "string" } } },
    results: { list: SCENARIO },
  },
};

const JOB_STATUS: Shape = { oneOf: ["pass", "fail", "missing"] };

const FAILURE_KINDS: Shape = {
  oneOf: [
    "test",
    "plan",
    "build",
    "guest lost",
    "deadline",
    "nothing ran",
    "usage",
    "crash",
    "merge conflict",
  ],
};

const JOB: Shape = {
  fields: {
    name: "string",
    kernel: "string",
    platform: "string",
    flavour: "string",
    suite: "string",
    digest: { optional: "string" },
    digests: { optional: { record: "string" } },
    status: JOB_STATUS,
    reason: { optional: "string" },
    failure: {
      optional: {
        fields: {
          kind: FAILURE_KINDS,
          exitStatus: { optional: "number" },
          logTail: { list: "string" },
          log: { optional: "string" },
        },
      },
    },
    seconds: "number",
    reused: "boolean",
    run: { optional: RUN_SHAPE },
    reproduce: "string",
    files: { optional: "string" },
  },
};

const REFERENCE: Shape = { fields: { id: "string", started: "string" } };

const CHANGE: Shape = {
  fields: {
    kind: { oneOf: ["new failure", "still failing", "flaky", "missing", "slower", "fixed", "conflict"] },
    job: "string",
    scenario: { optional: "string" },
    since: { optional: REFERENCE },
    lastGood: { optional: REFERENCE },
    changed: {
      list: { fields: { name: "string", before: { optional: "string" }, after: { optional: "string" } } },
    },
    duration: { optional: { fields: { seconds: "number", median: "number", samples: "number" } } },
    text: "string",
    reproduce: "string",
  },
};

/** Shape of a NightlyResult. */
export const NIGHTLY_SHAPE: Shape = {
  fields: {
    schema: "number",
    run: {
      fields: {
        id: "string",
        started: "string",
        milliseconds: "number",
        matrix: { fields: { path: "string", digest: "string" } },
        shard: { optional: { fields: { index: "number", of: "number" } } },
        merged: { optional: { list: "string" } },
        complete: "boolean",
        stopped: { optional: "string" },
        kernels: { optional: { fields: { built: "number", cached: "number", failed: "number" } } },
        slots: { optional: "number" },
        spent: { record: "number" },
      },
    },
    counts: { fields: { passed: "number", failed: "number", missing: "number" } },
    scenarios: SCENARIO_COUNTS,
    jobs: { list: JOB },
    changes: { list: CHANGE },
    trends: {
      record: {
        list: {
          fields: { run: REFERENCE, status: JOB_STATUS, seconds: "number", bytes: { optional: BYTES } },
        },
      },
    },
  },
};
