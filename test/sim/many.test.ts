import { describe, expect, test } from 'vitest';
import { liveThrough } from './life.ts';
import { liveThroughMany, type Many } from './many.ts';
import { MUTANTS } from './mutants.ts';
import type { SeedReport } from './report.ts';
import { createSeedRunner, HANGS } from './seed-runner.ts';

const many = (changes: Partial<Many>): Many => ({
  from: 1,
  seeds: 4,
  storage: 'persistent',
  jobs: 2,
  untilFailure: false,
  signal: new AbortController().signal,
  onReport: () => {},
  ...changes,
});

describe('many seeds', () => {
  test('are told of in their order, and live in processes as they live here', async () => {
    const reports: SeedReport[] = [];
    const tally = await liveThroughMany(many({ onReport: (report) => reports.push(report) }));
    const here = [];
    for (const seed of [1, 2, 3, 4])
      here.push(await liveThrough({ seed, storage: 'persistent', mutant: null }));
    expect(reports).toEqual(here);
    expect(tally).toMatchObject({ lived: 4, failed: 0, failures: [] });
    expect(tally.calls.get('save')).toBe(4);
    expect([...tally.faults.keys()].toSorted()).toEqual(
      [...new Set(here.flatMap(({ faults }) => faults))].toSorted(),
    );
  });

  test('end when they are interrupted, with what is known by then', async () => {
    const interrupted = new AbortController();
    const lived: number[] = [];
    const onReport = ({ seed }: SeedReport) => {
      lived.push(seed);
      interrupted.abort();
    };
    const tally = await liveThroughMany(many({ seeds: 1_000_000, signal: interrupted.signal, onReport }));
    expect(lived).toEqual([1]);
    expect(tally.lived).toBe(1);
  });
});

describe('a process that lives through seeds', () => {
  const order = { seed: 1, storage: 'persistent', mutant: null } as const;

  test('is ended when a life takes too long', async () => {
    const runner = createSeedRunner(null, 20);
    const report = await runner.run(order);
    expect(report.failure).toContain(HANGS);
    expect(report.replay).toBe('npm run sim -- --seed 1 --story');
  });

  test('has the bug that is asked for', async () => {
    const mutant = MUTANTS.find(({ name }) => name === 'go-not-stored');
    const runner = createSeedRunner(mutant?.name ?? '');
    try {
      const report = await runner.run({ ...order, mutant: mutant?.name ?? '' });
      expect(report.failure).toContain('S5 violated');
      expect(report.tail.length).toBeGreaterThan(0);
      expect(report.replay).toBe('npm run sim -- --seed 1 --mutant go-not-stored --story');
    } finally {
      runner.end();
    }
  });

  test('says why it can not run', async () => {
    const runner = createSeedRunner('no-such-bug');
    await expect(runner.run(order)).rejects.toThrow('there is no planted bug no-such-bug');
  });
});
