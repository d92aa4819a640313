import { afterEach, beforeEach, expect, test } from 'vitest';
import { createKvClient } from '../../src/etcd/client.ts';
import { EtcdError } from '../../src/etcd/port.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import { skipWithout } from '../needs.ts';
import { clock, until } from '../wait.ts';
import { type OperationsTrial, PHASE_MS_MAX, startTrial, type Whole } from './trial.ts';

/*
 * A small quota under a steady writer: what fills it up with history is cured without anybody, what is live is not and
 * is shown; and whoever defragments, never is more than one member out.
 */

const QUOTA_BYTES = 16 * 1024 * 1024;
const VALUE = 'x'.repeat(1024 * 1024);
/** Two and a half times what fits. */
const WRITES = 40;

let trial: OperationsTrial & { readonly born: Whole };

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  trial = await startTrial('space', {
    agents: 3,
    schedulerArgs: ['--quota-backend-bytes', String(QUOTA_BYTES), '--compact-keep', '1'],
  });
});
afterEach(async ({ task }) => await trial?.end(task.result?.state === 'fail'));

/** Writes one value, as often as it is refused for want of space; `null`: `isGivenUp` holds. How often that was. */
async function write(key: string, isGivenUp: () => Promise<boolean>): Promise<number | null> {
  const [seat] = trial.record().seats;
  if (seat === undefined) throw new Error('no member is there');
  const keys = createKvClient({ url: clientUrlOf(seat) }, clock);
  let refusals = 0;
  try {
    return await until(`${key} is taken`, PHASE_MS_MAX, async () => {
      try {
        await keys.put(key, VALUE, AbortSignal.timeout(10_000));
        return { refusals };
      } catch (error) {
        if (!(error instanceof EtcdError)) throw error;
        if (error.code === 'no-space') refusals += 1;
        return (await isGivenUp()) ? { refusals: null } : null;
      }
    }).then((taken) => taken.refusals);
  } finally {
    keys.close();
  }
}

async function isTheOperators(): Promise<boolean> {
  const view = await trial.scheduler().view();
  return view?.blocked.some(({ code }) => code === 'no-space') === true;
}

/** Over etcd's own gateway from JSON. */
async function askEtcd(
  path: string,
  body: Readonly<Record<string, string>>,
): Promise<Record<string, unknown>> {
  const [seat] = trial.record().seats;
  if (seat === undefined) throw new Error('no member is there');
  const response = await fetch(`${clientUrlOf(seat)}${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(10_000),
  });
  const answer = (await response.json()) as Record<string, unknown>;
  expect(response.status, JSON.stringify(answer)).toBe(200);
  return answer;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64');
const alarms = async (): Promise<string> => await trial.command('alarm', 'list');
const isCalm = (record: Whole['record']): boolean => record.space === null;

async function largestFile(): Promise<number> {
  const { members } = (await trial.scheduler().view()) ?? { members: [] };
  return Math.max(0, ...members.map(({ dbSizeBytes }) => dbSizeBytes ?? 0));
}

test('history fills the quota: it is compacted, defragmented one by one, and written to again, by itself', async () => {
  const report = await trial.observe(
    'a quota full of history',
    async () => {
      let refusals = 0;
      for (let count = 0; count < WRITES; count += 1) {
        refusals += (await write('history', () => Promise.resolve(false))) ?? 0;
      }
      expect(refusals).toBeGreaterThan(0);
    },
    isCalm,
  );
  expect(report.outMax).toBeLessThanOrEqual(1);
  expect(report.written).toBeGreaterThan(0);
  expect(await alarms()).toBe('no alarm stands\n');
  expect(await trial.command('status')).not.toContain('no-space');
  for (const seat of report.whole.record.seats) {
    expect(seat.task).toBe(trial.born.record.seats.find(({ id }) => id === seat.id)?.task);
  }
  await trial.expectNothingLost();
});

test('live data fills the quota: it stays refused and is shown, until an operator has made room', async () => {
  for (let count = 0; count < WRITES; count += 1) {
    if ((await write(`bulk/${String(count).padStart(3, '0')}`, isTheOperators)) === null) break;
  }
  const view = await trial.scheduler().view();
  const blocked = view?.blocked.find(({ code }) => code === 'no-space')?.message;
  expect(blocked).toMatch(/etcd refuses writes: \d+ % of the quota is in use/);
  expect(await alarms()).toContain('NOSPACE');
  expect(await trial.command('status')).toContain('nearly-full');
  const shown = await trial.command('space');
  expect(shown).toMatch(/\d\d % {2}\d+ +bulk\//);
  expect(shown).toContain('NOSPACE of');
  // What is under way outlives the scheduler.
  await trial.crash();
  await until('it is still the operator’s', PHASE_MS_MAX, isTheOperators);
  const report = await trial.observe(
    'room is made',
    async () => {
      await askEtcd('/v3/kv/deleterange', { key: base64('bulk/'), range_end: base64('bulk0') });
      const { header } = await askEtcd('/v3/kv/range', { key: base64('bulk/') });
      const { revision } = header as { revision: string };
      await askEtcd('/v3/kv/compaction', { revision });
      await trial.command('defragment');
      await until('the alarm is let go', PHASE_MS_MAX, async () => (await alarms()) === 'no alarm stands\n');
    },
    isCalm,
  );
  expect(report.outMax).toBeLessThanOrEqual(1);
  expect(await largestFile()).toBeLessThan(QUOTA_BYTES / 2);
  await trial.expectNothingLost();
});

test('defragmenting all members under a writer has one of them out at a time, over a crash of the scheduler', async () => {
  const leader = await trial.leader();
  const report = await trial.observe(
    'defragmenting',
    async () => {
      expect(await trial.command('defragment')).toContain('defragmented: etcd-0');
    },
    isCalm,
  );
  expect(report.outMax).toBeLessThanOrEqual(1);
  expect(await trial.leader()).not.toBe(leader);
  const crashed = await trial.observe(
    'defragmenting, and a scheduler that is killed',
    async () => {
      expect(await trial.command('defragment', '--no-wait')).toContain('one at a time, the leader last');
      await trial.crash();
    },
    isCalm,
  );
  expect(crashed.outMax).toBeLessThanOrEqual(1);
  expect(crashed.whole.voters).toEqual(trial.born.voters);
  await trial.expectNothingLost();
});
