import { defineConfig } from 'vitest/config';

const project = (name: string, include: string[], testTimeout: number) => ({
  test: { name, include, testTimeout, hookTimeout: testTimeout, environment: 'node' as const },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      project(
        'unit',
        [
          'test/{base,protocol,mesos,etcd,reconcile,framework,member,drills,local,runtime,cli}/**/*.test.ts',
          'test/*.test.ts',
        ],
        20_000,
      ),
      project('contract', ['test/contract/**/*.test.ts'], 30_000),
      project('replay', ['test/replay/**/*.test.ts'], 60_000),
      project('sim', ['test/sim/**/*.test.ts'], 120_000),
      project('etcd', ['test/real-etcd/**/*.test.ts'], 120_000),
      project('e2e', ['test/e2e/**/*.test.ts'], 300_000),
    ],
  },
});
