import { afterEach, beforeEach, expect, test } from 'vitest';
import { skipWithout } from '../needs.ts';
import { until } from '../wait.ts';
import { type OperationsTrial, PHASE_MS_MAX, seatOf, startTrial, type Whole } from './trial.ts';

/*
 * More members and fewer, under a steady writer: nothing that was acknowledged is lost, never is more than one voter
 * out, and who stays is not touched.
 */

/** One election, on a busy machine. */
const GAP_MS_MAX = 10_000;

let trial: OperationsTrial & { readonly born: Whole };

beforeEach((context) => skipWithout(context, 'etcd', 'setpriv'));
afterEach(async ({ task }) => await trial?.end(task.result?.state === 'fail'));

async function scaled(size: number, meanwhile: () => Promise<unknown> = () => Promise.resolve()) {
  const what = `${trial.record().size} → ${size} members`;
  const slots = trial.record().seats.map(({ slot }) => slot);
  const report = await trial.observe(
    what,
    async () => {
      expect(await trial.command('scale', String(size))).toContain(`to ${size} members`);
      await meanwhile();
    },
    (record) => record.size === size && record.scaling === null,
  );
  expect(report.outMax).toBeLessThanOrEqual(1);
  expect(report.gapMs).toBeLessThan(GAP_MS_MAX);
  const leaving = slots.filter((slot) => !report.whole.voters.has(slot));
  for (const slot of report.out) expect(leaving).toContain(slot);
  return report;
}

function expectUntouched(before: Whole, after: Whole, slots: readonly string[]): void {
  for (const slot of slots) {
    expect(seatOf(after, slot).task).toBe(seatOf(before, slot).task);
    expect(after.voters.get(slot)).toBe(before.voters.get(slot));
  }
}

test('three members become five and three again, while schedulers are killed and the leader is to go', async () => {
  trial = await startTrial('scaling', { agents: 6 });
  const { born } = trial;
  const refused = await trial.cli('scale', '4');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('no more failures than 3')]);

  const grown = await scaled(5, async () => {
    await until('the fourth member to join', PHASE_MS_MAX, () => trial.record().intent?.committed === true);
    await trial.crash();
  });
  expectUntouched(born, grown.whole, ['etcd-0', 'etcd-1', 'etcd-2']);
  expect([...grown.whole.voters.keys()].sort()).toEqual(['etcd-0', 'etcd-1', 'etcd-2', 'etcd-3', 'etcd-4']);

  await trial.command('leader', 'move', '--to', 'etcd-4');
  const shrunk = await scaled(3, async () => {
    await until('the first to be given up', PHASE_MS_MAX, () => trial.record().intent?.committed === true);
    expect(await trial.command('endpoints', 'etcd-servers')).not.toContain(clientOf(grown.whole, 'etcd-4'));
    await trial.crash();
  });
  expectUntouched(born, shrunk.whole, ['etcd-0', 'etcd-1', 'etcd-2']);
  await trial.expectNothingLost();
});

test('one member becomes three, and one again', async () => {
  trial = await startTrial('scaling-one', { agents: 3, schedulerArgs: ['--cluster-size', '1'] });
  const { born } = trial;
  const grown = await scaled(3);
  expectUntouched(born, grown.whole, ['etcd-0']);
  const shrunk = await scaled(1);
  expectUntouched(born, shrunk.whole, ['etcd-0']);
  await trial.expectNothingLost();
});

function clientOf(whole: Whole, slot: string): string {
  const { host, ports } = seatOf(whole, slot);
  return `${host}:${ports.client}`;
}
