import { describe, expect, test } from 'vitest';
import { StateStoreError } from '../../src/base/ports.ts';
import { SchedulerError } from '../../src/framework/config.ts';
import { actInTerms } from '../../src/framework/terms.ts';
import { MesosError } from '../../src/mesos/errors.ts';
import { silentLogger } from '../silent-logger.ts';
import { createMemoryElection } from '../sim/memory-election.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';

/** Candidates whose work is to be there until their signal aborts, or to end as they are told. */
function world() {
  const clock = createVirtualClock({ settleTurns: 3 });
  const election = createMemoryElection();
  /** Who acts at this moment: never more than one. */
  const acting = new Set<string>();
  const terms: string[] = [];

  const start = (
    name: string,
    options: { overtaken?: boolean; lingerMs?: number; uninstalls?: boolean; registered?: boolean } = {},
  ) => {
    const stop = new AbortController();
    let fail: (error: unknown) => void = () => undefined;
    const run: { ended: boolean; error: unknown } = { ended: false, error: null };
    const done = actInTerms(
      {
        leadership: election.candidate(name),
        clock,
        log: silentLogger,
        act: async ({ over: signal }) => {
          terms.push(name);
          acting.add(name);
          await new Promise<void>((resolve, reject) => {
            fail = reject;
            if (signal.aborted) resolve();
            signal.addEventListener('abort', () => resolve(), { once: true });
          }).finally(async () => {
            if (options.lingerMs !== undefined) await clock.sleep(options.lingerMs);
            acting.delete(name);
          });
          return options.uninstalls === true ? 'uninstalled' : 'stopped';
        },
        standBy: () => Promise.resolve(),
        isRegistered: () => options.registered ?? false,
        isOvertaken: () => Promise.resolve(options.overtaken ?? false),
        onTerm: () => undefined,
      },
      stop.signal,
    );
    void done.then(
      () => {
        run.ended = true;
      },
      (error: unknown) => {
        run.ended = true;
        run.error = error;
      },
    );
    return { run, stop: () => stop.abort(), fail: (error: unknown) => fail(error) };
  };
  return { clock, election, acting, terms, start };
}

const conflict = new SchedulerError('record-conflict', 'somebody else wrote');
const rival = new SchedulerError('already-running', 'somebody is connected');
const failedOver = new MesosError('failed-over', 'somebody subscribed');

describe('several schedulers', () => {
  test('stand by until it is their turn, and act one at a time', async () => {
    const { clock, election, acting, terms, start } = world();
    start('a');
    start('b');
    start('c');
    await clock.settle();
    expect(terms).toEqual(['a']);
    election.endSession();
    await clock.settle();
    expect([...acting]).toEqual(['b']);
    election.endSession();
    await clock.settle();
    expect([...acting]).toEqual(['c']);
    election.endSession();
    await clock.settle();
    expect(terms).toEqual(['a', 'b', 'c', 'a']);
  });

  test('one that is told to end gives its term up at once, after its work has stopped', async () => {
    const { clock, election, acting, start } = world();
    const a = start('a', { lingerMs: 500 });
    start('b');
    await clock.settle();
    a.stop();
    await clock.settle();
    expect([...acting], 'its work is still ending').toEqual(['a']);
    expect(election.leader).toBe('a');
    await clock.advance(500);
    expect(election.leader).toBe('b');
    expect([...acting]).toEqual(['b']);
    expect(a.run).toEqual({ ended: true, error: null });
  });

  test('one whose session ends while its work lingers stands by only when that has stopped', async () => {
    const { clock, election, terms, start } = world();
    start('a', { lingerMs: 10_000 });
    await clock.settle();
    election.endSession();
    await clock.advance(9_000);
    expect(terms, 'nobody else is there, and it has not stood again').toEqual(['a']);
    await clock.advance(1_000);
    expect(terms).toEqual(['a', 'a']);
  });

  test('one that has uninstalled the service gives its term up and never leads again', async () => {
    const { clock, election, terms, start } = world();
    const a = start('a', { uninstalls: true });
    start('b');
    await clock.settle();
    election.endSession();
    await clock.settle();
    expect(a.run).toEqual({ ended: true, error: null });
    election.endSession();
    await clock.settle();
    expect(terms).toEqual(['a', 'b', 'b']);
  });

  test('a standby that is told to end ends at once', async () => {
    const { clock, start } = world();
    start('a');
    const b = start('b');
    await clock.settle();
    b.stop();
    await clock.settle();
    expect(b.run).toEqual({ ended: true, error: null });
  });
});

describe('a term that goes wrong', () => {
  test('because somebody else wrote the record: the next one gets its turn, and so does it again', async () => {
    const { clock, election, terms, start } = world();
    const a = start('a');
    start('b');
    await clock.settle();
    a.fail(conflict);
    await clock.advance(1_000);
    expect(election.leader).toBe('b');
    election.endSession();
    await clock.settle();
    expect(terms).toEqual(['a', 'b', 'a']);
    expect(a.run.ended).toBe(false);
  });

  test('again and again: it waits longer each time', async () => {
    const { clock, terms, start } = world();
    const a = start('a');
    for (const pauseMs of [1_000, 2_000, 4_000]) {
      await clock.settle();
      const before = terms.length;
      a.fail(new StateStoreError('unavailable', 'the store is away'));
      await clock.advance(pauseMs - 1);
      expect(terms.length).toBe(before);
      await clock.advance(1);
      expect(terms.length).toBe(before + 1);
    }
  });

  test('because its framework was taken by one of this election: it stands by', async () => {
    const { clock, terms, start } = world();
    const a = start('a', { overtaken: true });
    await clock.settle();
    a.fail(failedOver);
    await clock.settle();
    expect(a.run.ended).toBe(false);
    expect(terms).toEqual(['a', 'a']);
  });

  test('because its framework was taken by somebody else: it ends, and says so', async () => {
    const { clock, election, start } = world();
    const a = start('a');
    await clock.settle();
    a.fail(failedOver);
    await clock.settle();
    expect(a.run).toEqual({ ended: true, error: failedOver });
    expect(election.leader, 'the term is given up').toBeNull();
  });

  test('because no master is there: it ends before the framework was ever registered, and never after', async () => {
    const { clock, terms, start } = world();
    const noMaster = new SchedulerError('no-master', 'nobody answers');
    const known = start('a', { registered: true });
    await clock.settle();
    known.fail(noMaster);
    await clock.advance(1_000);
    expect(terms).toEqual(['a', 'a']);
    known.stop();
    await clock.settle();
    const unknown = start('b');
    await clock.settle();
    unknown.fail(noMaster);
    await clock.settle();
    expect(unknown.run).toEqual({ ended: true, error: noMaster });
  });

  test('because another is still connected: that one gets a minute to let go', async () => {
    const { clock, terms, start } = world();
    const a = start('a');
    await clock.settle();
    for (let second = 0; second < 55; second += 1) {
      a.fail(rival);
      await clock.advance(1_000);
      expect(a.run.ended).toBe(false);
    }
    expect(terms.length).toBeGreaterThan(2);
    for (let second = 0; second < 45; second += 1) {
      a.fail(rival);
      await clock.advance(1_000);
    }
    expect(a.run).toEqual({ ended: true, error: rival });
  });

  test('in a way that waiting does not change: it ends', async () => {
    const { clock, start } = world();
    const a = start('a');
    await clock.settle();
    const wrong = new SchedulerError('wrong-record', 'it is another framework’s');
    a.fail(wrong);
    await clock.settle();
    expect(a.run).toEqual({ ended: true, error: wrong });
  });

  test('after its session ended: whatever it says, it stands by', async () => {
    const { clock, election, terms, start } = world();
    const a = start('a');
    await clock.settle();
    election.endSession();
    a.fail(failedOver);
    await clock.settle();
    expect(a.run.ended).toBe(false);
    expect(terms).toEqual(['a', 'a']);
  });
});
