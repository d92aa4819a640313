import { expect, test } from 'vitest';
import { planTree } from '../../src/cli/plan-tree.ts';
import { plansOf } from '../../src/framework/plans.ts';
import { tarballId, writePin } from '../../src/protocol/artifact-pin.ts';
import type { ClusterRecord, Rollout } from '../../src/protocol/record.ts';
import type { PublishedPlan } from '../../src/protocol/view.ts';
import type { ArchiveSight, Observation } from '../../src/reconcile/observation.ts';
import { targetOf } from '../../src/reconcile/rollout.ts';
import { SmallWorld } from '../reconcile/small-world.ts';
import { CONFIG, RUN, record, seat } from './fixtures.ts';

const served = (digit: string, etcd: string): string =>
  writePin({ id: tarballId(digit.repeat(64)), etcd, source: { from: 'scheduler' } });
const OLD = served('a', '3.5.30');
const NEW = served('b', '3.6.16');
const SPEC = { ...CONFIG.spec, artifact: NEW };
const data = { epoch: 1, attempt: 1, started: true, memberId: '8e9e', floor: null };

/** A formed cluster; `updated` says whose members have what is new. */
function cluster(updated: readonly string[], changes: Partial<ClusterRecord> = {}): ClusterRecord {
  const seats = ['etcd-0', 'etcd-1', 'etcd-2'].map((slot) =>
    seat({ id: slot, slot, data, pinned: { ...RUN, artifact: updated.includes(slot) ? NEW : OLD } }),
  );
  return record({ epoch: { ...record().epoch, phase: 'formed' }, seats, ...changes });
}

const rollout = (changes: Partial<Rollout> = {}): Rollout => ({
  id: 'rollout-1',
  target: targetOf(SPEC),
  scope: 'all',
  by: 'alice',
  openedAtMs: 1,
  canary: 'none',
  forced: false,
  step: null,
  noRoom: [],
  steadyMs: 0,
  failed: null,
  ...changes,
});

/** Nothing but an archive, or none. */
function seeing(archive: ArchiveSight | null): Observation {
  const world = new SmallWorld();
  world.archive = archive;
  return world.observe(0);
}

function planOf(
  ours: ClusterRecord,
  name = 'update',
  { spec = SPEC, observation = seeing(null) } = {},
): PublishedPlan {
  const plans = plansOf({ record: ours, observation, uninstalled: false }, spec);
  const plan = plans.find((one) => one.name === name);
  if (plan === undefined) throw new Error(`no plan ${name}`);
  return plan;
}
const treeOf = (...of: Parameters<typeof planOf>): string => planTree(planOf(...of));

test('is complete while every member has what the options ask for', () => {
  expect(treeOf(cluster(['etcd-0', 'etcd-1', 'etcd-2']))).toMatchInlineSnapshot(`
    "update (serial strategy) (COMPLETE)
    └─ etcd (serial strategy) (COMPLETE)
       ├─ etcd-0:[server] (COMPLETE)
       ├─ etcd-1:[server] (COMPLETE)
       └─ etcd-2:[server] (COMPLETE)
    "
  `);
});

test('waits for a word to bring another artifact, and says what it is and that no full is taken', () => {
  expect(treeOf(cluster([]))).toMatchInlineSnapshot(`
    "update (serial strategy) (WAITING)
    └─ etcd (serial strategy) (WAITING)
       ├─ etcd-0:[server] (PENDING): etcd 3.5.30 (sha256:aaaaaaaaaaaa) becomes etcd 3.6.16 (sha256:bbbbbbbbbbbb); no archive: no full is taken; waits for etcd-mesos update start
       ├─ etcd-1:[server] (PENDING): etcd 3.5.30 (sha256:aaaaaaaaaaaa) becomes etcd 3.6.16 (sha256:bbbbbbbbbbbb); no archive: no full is taken; waits for etcd-mesos update start
       └─ etcd-2:[server] (PENDING): etcd 3.5.30 (sha256:aaaaaaaaaaaa) becomes etcd 3.6.16 (sha256:bbbbbbbbbbbb); no archive: no full is taken; waits for etcd-mesos update start
    "
  `);
});

test('where there is an archive says what becomes of the full before an upgrade', () => {
  const told = (ours: ClusterRecord, verifiedFullAtMs: number | null): string[] => {
    const observation = seeing({ archivedRevision: '9', verifiedFullAtMs });
    const { steps = [] } = planOf(ours, 'update', { observation }).phases[0] ?? {};
    expect(steps.map(({ message }) => message).join()).not.toContain('no archive');
    return steps
      .filter(({ name }) => name === 'full-backup')
      .map(({ status, message }) => `${status} ${message}`);
  };
  const at = { by: 'bob at 10.0.0.9', atMs: 0 };
  const plans = { paused: [], forced: [{ plan: 'update' as const, step: 'full-backup', ...at }] };
  expect([
    told(cluster([]), 5_000),
    told(cluster([], { rollout: rollout({ openedAtMs: 9_000 }) }), 5_000),
    told(cluster(['etcd-1'], { rollout: rollout({ openedAtMs: 1_000 }) }), 5_000),
    told(cluster([], { rollout: rollout({}), plans }), null),
    told(cluster(['etcd-0', 'etcd-1', 'etcd-2']), 5_000),
  ]).toMatchInlineSnapshot(`
    [
      [
        "PENDING a full backup is taken before the first member goes up a minor; waits for etcd-mesos update start",
      ],
      [
        "STARTING waits for a full backup that is read back whole",
      ],
      [
        "COMPLETE the full of 1970-01-01T00:00:05.000Z is kept",
      ],
      [
        "COMPLETE left out, as bob at 10.0.0.9 said at 1970-01-01T00:00:00.000Z",
      ],
      [],
    ]
  `);
});

test('says whose turn it is, who was left as it is, and who holds it', () => {
  const at = { by: 'bob at 10.0.0.9', atMs: 0 };
  const plans = {
    paused: [{ plan: 'update' as const, ...at }],
    forced: [{ plan: 'update' as const, step: 'etcd-2:[server]', ...at }],
  };
  const step = { slot: 'etcd-1', seat: 'etcd-1', waitedMs: 0 };
  expect(treeOf(cluster([], { rollout: rollout({ step }), plans }))).toMatchInlineSnapshot(`
    "update (serial strategy) (WAITING)
    └─ etcd (serial strategy) (WAITING)
       ├─ etcd-0:[server] (PENDING): etcd 3.5.30 (sha256:aaaaaaaaaaaa) becomes etcd 3.6.16 (sha256:bbbbbbbbbbbb); no archive: no full is taken; paused by bob at 10.0.0.9 since 1970-01-01T00:00:00.000Z
       ├─ etcd-1:[server] (STARTED): updated, until it serves again
       └─ etcd-2:[server] (COMPLETE): left as it is, as bob at 10.0.0.9 said at 1970-01-01T00:00:00.000Z

    Paused by bob at 10.0.0.9 since 1970-01-01T00:00:00.000Z
    "
  `);
});

test('says what failed', () => {
  const failed = { slot: 'etcd-1', message: 'it did not serve again in 600 s: broken', atMs: 0 };
  const ours = cluster(['etcd-1'], { rollout: rollout({ failed }) });
  expect(treeOf(ours)).toMatchInlineSnapshot(`
    "update (serial strategy) (ERROR)
    └─ etcd (serial strategy) (ERROR)
       ├─ etcd-0:[server] (PENDING): etcd 3.5.30 (sha256:aaaaaaaaaaaa) becomes etcd 3.6.16 (sha256:bbbbbbbbbbbb); no archive: no full is taken
       ├─ etcd-1:[server] (ERROR): it did not serve again in 600 s: broken
       └─ etcd-2:[server] (PENDING): etcd 3.5.30 (sha256:aaaaaaaaaaaa) becomes etcd 3.6.16 (sha256:bbbbbbbbbbbb); no archive: no full is taken

    Errors:
    - etcd-1: it did not serve again in 600 s: broken (1970-01-01T00:00:00.000Z); nothing further is touched
    "
  `);
  expect(planOf(ours).status).toBe('ERROR');
});

test('with a canary waits for a word twice', () => {
  const spec = { ...SPEC, updateStrategy: 'canary' as const };
  expect(planOf(cluster([]), 'update', { spec })).toMatchObject({
    status: 'WAITING',
    strategy: 'serial-canary',
  });
  const held = cluster(['etcd-1'], { rollout: rollout({ canary: 'held' }) });
  expect(planOf(held, 'update', { spec }).phases[0]?.steps[0]?.message).toContain('plan continue update');
});

test('that is paused says so, and by whom', () => {
  const ours = cluster([]);
  const paused = [{ plan: 'recovery' as const, by: 'bob', atMs: 0 }];
  const plans = { paused, forced: [] };
  expect(planOf({ ...ours, plans }, 'recovery').paused).toEqual({ by: 'bob', atMs: 0 });
  expect(planOf({ ...ours, plans }, 'update').paused).toBeUndefined();
});
