import { afterEach, beforeEach, expect, test } from 'vitest';
import { skipWithout } from '../needs.ts';
import { until } from '../wait.ts';
import { type OperationsTrial, PHASE_MS_MAX, seatOf, startTrial, type Whole } from './trial.ts';

/*
 * What an operator does to one member, one after the other on one cluster under a steady writer: nobody else is
 * touched, and nothing that was acknowledged is lost.
 */

const SLOTS = ['etcd-0', 'etcd-1', 'etcd-2'];
/** One election, on a busy machine. */
const GAP_MS_MAX = 10_000;

let trial: OperationsTrial & { readonly born: Whole };

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'setpriv');
  trial = await startTrial('pods', { agents: 5 });
});
afterEach(async ({ task }) => await trial?.end(task.result?.state === 'fail'));

function expectOnly(
  slot: string,
  before: Whole,
  report: Awaited<ReturnType<OperationsTrial['observe']>>,
): void {
  expect(report.outMax).toBeLessThanOrEqual(1);
  expect([slot]).toEqual(expect.arrayContaining([...report.out]));
  expect(report.gapMs).toBeLessThan(GAP_MS_MAX);
  for (const other of SLOTS.filter((one) => one !== slot)) {
    expect(seatOf(report.whole, other).task).toBe(seatOf(before, other).task);
    expect(report.whole.voters.get(other)).toBe(before.voters.get(other));
  }
}

test('a member is restarted, the leader too; leadership moves; one is paused, resumed and replaced', async () => {
  const { born } = trial;
  const leader = await trial.leader();
  const [follower = '', heir = ''] = SLOTS.filter((slot) => slot !== leader);

  const restarted = await trial.observe('restart of a follower', async () => {
    expect(await trial.command('pod', 'restart', follower)).toContain(`${follower} was restarted`);
  });
  expectOnly(follower, born, restarted);
  const place = ({ id, volumeId, agentId, pinned }: ReturnType<typeof seatOf>) => ({
    id,
    volumeId,
    agentId,
    pinned,
  });
  expect(place(seatOf(restarted.whole, follower))).toEqual(place(seatOf(born, follower)));
  expect(seatOf(restarted.whole, follower).launches).toBe(2);
  expect(restarted.whole.voters).toEqual(born.voters);

  const led = await trial.observe('restart of the leader', async () => {
    expect(await trial.command('pod', 'restart', leader)).toContain(`${leader} was restarted`);
  });
  expectOnly(leader, restarted.whole, led);
  expect(await trial.leader()).not.toBe(leader);

  const moved = await trial.observe('move of the leader', async () => {
    await trial.command('leader', 'move', '--to', leader);
    expect(await trial.leader()).toBe(leader);
    expect(await trial.command('leader', 'move', '--to', heir)).toContain(`${heir} leads`);
  });
  expect(moved.outMax).toBe(0);
  expect(await trial.leader()).toBe(heir);

  const paused = await trial.observe('pause and resume of the leader', async () => {
    await trial.command('pod', 'pause', heir);
    expect(await trial.command('pod', 'status', heir)).toContain('(PAUSED)');
    const refused = await trial.cli('pod', 'restart', follower);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('is paused')]);
    await trial.command('pod', 'resume', heir);
  });
  expectOnly(heir, led.whole, paused);
  expect(seatOf(paused.whole, heir).task).toBe(seatOf(born, heir).task);
  expect(paused.whole.voters).toEqual(born.voters);

  const replaced = await trial.observe(
    'replacement of a member that serves',
    async () => {
      expect(await trial.command('pod', 'replace', follower)).toContain(`${follower} was replaced`);
    },
    ({ seats }) => seats.every(({ id }) => id !== seatOf(born, follower).id),
  );
  expectOnly(follower, paused.whole, replaced);
  expect(seatOf(replaced.whole, follower).agentId).not.toBe(seatOf(born, follower).agentId);
  expect(replaced.whole.voters.get(follower)).not.toBe(born.voters.get(follower));
  await trial.expectNothingLost();
});

test('what was asked for outlives the scheduler; who is out is replaced at once; too few are restarted by force alone', async () => {
  const { born } = trial;
  const leader = await trial.leader();
  const [follower = '', other = ''] = SLOTS.filter((slot) => slot !== leader);

  const crashed = await trial.observe(
    'restart of a follower over the death of the scheduler',
    async () => {
      await trial.command('pod', 'restart', follower, '--no-wait');
      await trial.crash();
    },
    ({ seats }) => seats.some(({ slot, launches }) => slot === follower && launches === 2),
  );
  expectOnly(follower, born, crashed);
  expect(crashed.whole.voters).toEqual(born.voters);

  const held = await trial.observe('pause of a follower over the death of the scheduler', async () => {
    await trial.command('pod', 'pause', follower);
    await trial.crash();
    await until('the next scheduler shows it', PHASE_MS_MAX, async () =>
      (await trial.command('pod', 'status', follower)).includes('(PAUSED)'),
    );
    await trial.command('pod', 'resume', follower);
  });
  expectOnly(follower, crashed.whole, held);

  const dead = seatOf(held.whole, follower);
  const replaced = await trial.observe(
    'replacement of a member whose host is down',
    async () => {
      await trial.command('plan', 'pause', 'recovery');
      await trial.mesos.killHost(trial.agentOf(dead));
      await until('the member is seen to be out', PHASE_MS_MAX, async () =>
        (await trial.cli('status')).stdout.includes('2 of 3'),
      );
      const held = await trial.cli('pod', 'replace', follower);
      expect([held.code, held.stderr]).toEqual([1, expect.stringContaining('recovery is paused')]);
      expect(await trial.command('plan', 'show', 'recovery')).toContain(`${follower}:[server]`);
      await trial.command('plan', 'resume', 'recovery');
      expect(await trial.command('pod', 'replace', follower)).toContain(`${follower} was replaced`);
      await trial.mesos.restartAgent(trial.agentOf(dead));
    },
    ({ seats }) => seats.every(({ id }) => id !== dead.id),
  );
  expectOnly(follower, held.whole, replaced);

  const forced = await trial.observe('restart by force while another is paused', async () => {
    await trial.command('pod', 'pause', other);
    const refused = await trial.cli('pod', 'restart', follower);
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('takes no writes')]);
    expect(await trial.command('pod', 'restart', follower, '--force')).toContain('forced');
    await trial.command('pod', 'resume', other);
  });
  expect(forced.outMax).toBe(2);
  expect(forced.whole.voters).toEqual(replaced.whole.voters);
  await trial.expectNothingLost();
});
