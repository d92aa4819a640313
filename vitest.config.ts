import { defineConfig } from 'vitest/config';

interface Project {
  readonly include: string[];
  readonly exclude?: string[];
  /** For a test and for a hook. */
  readonly timeoutMs: number;
  /** Tests of one file at the same time, where they are `concurrent`. */
  readonly maxConcurrency?: number;
}

/** Tests that need more than node: each folder is a project of its own. */
const APART = [
  'contract',
  'replay',
  'sim',
  'real-etcd',
  'e2e',
  'production',
  'operations',
  'containers',
  'archive',
];
const below = (folder: string): string => `test/${folder}/**/*.test.ts`;

/** Some forty deaths of a scheduler, each with what follows: too long for every change. */
const CRASH = 'test/e2e/crash.test.ts';

/** Dozens of simulations, each with a bug in the sources; two processes at a time. */
const MUTANTS = 'test/sim/mutants.test.ts';

const PROJECTS: Readonly<Record<string, Project>> = {
  unit: { include: ['test/**/*.test.ts'], exclude: APART.map(below), timeoutMs: 20_000 },
  contract: { include: [below('contract')], timeoutMs: 30_000 },
  replay: { include: [below('replay')], timeoutMs: 60_000 },
  sim: { include: [below('sim')], exclude: [MUTANTS], timeoutMs: 120_000 },
  mutants: { include: [MUTANTS], timeoutMs: 600_000, maxConcurrency: 2 },
  etcd: { include: [below('real-etcd')], timeoutMs: 120_000 },
  e2e: { include: [below('e2e')], exclude: [CRASH], timeoutMs: 300_000 },
  crash: { include: [CRASH], timeoutMs: 900_000 },
  mesos: { include: [below('production')], timeoutMs: 300_000 },
  operations: { include: [below('operations')], timeoutMs: 600_000 },
  containers: { include: [below('containers')], timeoutMs: 300_000 },
  archive: { include: [below('archive')], timeoutMs: 300_000 },
};

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: Object.entries(PROJECTS).map(([name, { timeoutMs, ...files }]) => ({
      test: { name, environment: 'node', testTimeout: timeoutMs, hookTimeout: timeoutMs, ...files },
    })),
  },
});
