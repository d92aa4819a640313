import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { frameworkInfoOf } from '../../src/framework/config.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import { createSchedulerConnection } from '../../src/mesos/scheduler-connection.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { holdingsOfMaster, taskProcesses, tasksOfMaster } from '../e2e/etcd-on-mesos.ts';
import { lacks, lacksZooKeeper } from '../needs.ts';
import { silentLogger } from '../silent-logger.ts';
import { clock, until } from '../wait.ts';
import type { OneOfSeveral } from './one-of-several.ts';
import type { JournalEntry } from './pausing-scheduler.ts';
import {
  API_TOKEN,
  SESSION_MS,
  SETTLE_MS,
  type SeveralSchedulers,
  startSeveral,
  type Whole,
} from './several-schedulers.ts';

/** The longest that a write may wait while every member runs: nobody but etcd has a part in it. */
const GAP_MS_MAX = 5_000;
const OUTAGE_MS = 60_000;
const OUTSIDER = {
  preReservedRole: null,
  user: 'root',
  role: 'etcd-role',
  principal: 'etcd-principal',
  failoverTimeoutMs: 3_600_000,
};

describe.skipIf(lacks('etcd', 'setpriv') || lacksZooKeeper())('a cluster with several schedulers', () => {
  let world: SeveralSchedulers;
  let schedulers: readonly OneOfSeveral[] = [];

  beforeEach(async () => {
    world = await startSeveral();
  });
  afterEach(async ({ task }) => await world.close(task.result?.state === 'fail'));

  /** The first leads: the others are started when it does. */
  async function begin(pausesBefore: readonly string[] = []): Promise<Whole> {
    const first = world.start('a', { pausesBefore });
    await world.leader([first]);
    schedulers = [first, world.start('b'), world.start('c')];
    const born = await world.whole('three members');
    world.write();
    await world.written();
    for (const one of schedulers) {
      await until(`${one.name} knows who leads`, SETTLE_MS, async () => {
        return (await one.liveness()).leader === first.url();
      });
    }
    return born;
  }

  /** The same members on the same places, by etcd's word and by the record's, and every write that was acknowledged. */
  async function expectUntouched(before: Whole, sinceMs: number): Promise<Whole> {
    await world.written();
    const after = await world.whole('three members that serve');
    expect(after.voters).toEqual(before.voters);
    expect(placesOf(after.record)).toEqual(placesOf(before.record));
    expect(world.ledger.longestGapMs(sinceMs), 'the longest wait for a write').toBeLessThan(GAP_MS_MAX);
    expect(await world.missing(after.record)).toEqual({});
    return after;
  }

  test('the leading master is killed: the next one has the same members', async () => {
    const before = await begin();
    const sinceMs = clock.monotonicMs();
    const leading = await world.cluster.awaitLeadingMaster();
    await world.cluster.terminateMaster(leading, 'SIGKILL');
    const next = await world.cluster.awaitLeadingMaster();
    expect(next).not.toBe(leading);
    const master = world.cluster.masterUrls[next];
    const [first] = schedulers as [OneOfSeveral];
    await until('the scheduler is subscribed at the next master', SETTLE_MS, async () => {
      const { mesos } = await first.view();
      return mesos.subscribed && mesos.master === master;
    });
    const { record } = await expectUntouched(before, sinceMs);
    expect(record.generation, 'the same scheduler leads').toBe(before.record.generation);
  });

  test('the scheduler that acts is killed: a standby takes over and changes nothing that is well', async () => {
    const before = await begin();
    const sinceMs = clock.monotonicMs();
    const [first, ...others] = schedulers as [OneOfSeveral, ...OneOfSeveral[]];
    first.kill('SIGKILL');
    await first.ended;
    const next = await world.leader(others);
    expect(clock.monotonicMs() - sinceMs, 'from its death to the next subscription').toBeLessThan(
      5 * SESSION_MS,
    );
    await until('the others hand on to it', SETTLE_MS, async () => {
      const views = await Promise.all(others.map(async (one) => await one.view()));
      return views.every(({ scheduler }) => scheduler.url === next.url());
    });
    const { record } = await expectUntouched(before, sinceMs);
    expect(record.generation).toBe(before.record.generation + 1);
    const done = next.journal().flatMap(({ moment, kinds }) => (moment === 'after' ? kinds : []));
    expect(done.filter((kind) => kind.startsWith('order')).every((kind) => kind === 'order fence')).toBe(
      true,
    );
  });

  test('the scheduler that acts is told to end: a standby takes over at once', async () => {
    const before = await begin();
    const [first, ...others] = schedulers as [OneOfSeveral, ...OneOfSeveral[]];
    expect(await first.stop()).toBe(0);
    const sinceMs = clock.monotonicMs();
    await world.leader(others);
    expect(clock.monotonicMs() - sinceMs, 'without waiting for the session').toBeLessThan(SESSION_MS);
    await expectUntouched(before, sinceMs);
  });

  test('the scheduler that acts is paused before it removes a member: it wakes and changes nothing', async () => {
    const before = await begin(['order member-remove']);
    const [first, ...others] = schedulers as [OneOfSeveral, ...OneOfSeveral[]];
    await loseHost(before.record, 'etcd-2');
    await until('it is paused with the order in its hand', SETTLE_MS, () =>
      first.journal().some(({ moment }) => moment === 'paused'),
    );
    const { intent } = await world.record();
    expect(intent?.remove?.memberId).toBe(before.voters.get('etcd-2'));
    const next = await world.leader(others);
    const repaired = await world.whole('another member in its place', ({ seats }) =>
      seats.every(({ id }) => id !== placeOf(before.record, 'etcd-2').id),
    );
    expect(repaired.voters.get('etcd-2')).not.toBe(before.voters.get('etcd-2'));
    const calm = await next.view();
    const tasks = await memberTasks(repaired.record);
    const seen = first.journal().length;

    const sinceMs = clock.monotonicMs();
    first.kill('SIGCONT');
    await until('it stands by', SETTLE_MS, async () => {
      const { role, leader } = await first.liveness();
      return role === 'standby' && leader === next.url();
    });
    const since = await until('what became of its order', SETTLE_MS, () => {
      const entries = first.journal().slice(seen);
      const isOrder = ({ kinds }: JournalEntry): boolean => kinds.includes('order member-remove');
      return entries.some((entry) => entry.moment !== 'before' && isOrder(entry)) ? entries : null;
    });
    const begun = since.flatMap(({ moment, kinds }) => (moment === 'before' ? kinds : []));
    const accepted = since.flatMap(({ moment, kinds }) => (moment === 'after' ? kinds : []));
    expect(begun, 'it did try').toContain('order member-remove');
    expect(since).toContainEqual({
      moment: 'refused',
      kinds: ['order member-remove'],
      why: 'refused: stale-generation',
    });
    expect(accepted.filter((kind) => begun.includes(kind))).toEqual([]);
    await expectUntouched(repaired, sinceMs);
    expect(await memberTasks(repaired.record)).toEqual(tasks);
    const after = await next.view();
    expect(after.counters.subscriptions, 'nobody took the framework from the leader').toBe(
      calm.counters.subscriptions,
    );
    expect(after.framework.generation).toBe(calm.framework.generation);
  });

  test('somebody outside the election takes the framework: the leader ends and says so, a standby takes it back', async () => {
    const before = await begin();
    const [first, ...others] = schedulers as [OneOfSeveral, ...OneOfSeveral[]];
    const sinceMs = clock.monotonicMs();
    const outsider = subscribeOutside(before.record);
    const { code, stderr } = await first.ended;
    expect(code).toBe(6);
    expect(stderr).toContain('only one may run');
    await world.leader(others);
    expect(await outsider).toMatchObject({ code: 'failed-over' });
    await expectUntouched(before, sinceMs);
  });

  test('ZooKeeper is away for a minute: the members serve, nobody acts, and one leads when it is back', async () => {
    const before = await begin();
    const sinceMs = clock.monotonicMs();
    await world.zooKeeper.stop();
    for (const one of schedulers) {
      await until(`${one.name} does not act`, SETTLE_MS, async () => {
        return (await one.liveness()).role === 'standby';
      });
      const response = await fetch(`${one.url()}/v1/view`);
      expect([response.status, response.headers.get('retry-after')]).toEqual([503, '2']);
    }
    const [first, second, third] = schedulers as [OneOfSeveral, OneOfSeveral, OneOfSeveral];
    expect(await third.stop(), 'one that is told to end meanwhile').toBe(0);
    await clock.sleep(Math.max(0, sinceMs + OUTAGE_MS - clock.monotonicMs()));
    await world.written();
    await world.zooKeeper.start();
    await world.leader([first, second]);
    const { record } = await expectUntouched(before, sinceMs);
    expect(record.generation).toBeGreaterThan(before.record.generation);
    expect(record.cluster).toBe(before.record.cluster);
  });

  test('ZooKeeper has lost everything: the cluster is adopted, and still takes orders', async () => {
    const before = await begin();
    const sinceMs = clock.monotonicMs();
    await world.zooKeeper.stop();
    await world.zooKeeper.wipe();
    await world.zooKeeper.start();
    await world.leader(schedulers);
    const adopted = await expectUntouched(before, sinceMs);
    expect(adopted.record.cluster).toBe(before.record.cluster);
    expect(adopted.record.framework).toEqual(before.record.framework);
    expect(adopted.record.epoch.source).toEqual({ kind: 'adopted' });
    expect(adopted.record.epoch.clusterId).toBe(before.record.epoch.clusterId);
    expect(adopted.record.generation).toBeGreaterThan(before.record.generation);

    await loseHost(adopted.record, 'etcd-1');
    const repaired = await world.whole('a member in the place of one that was lost', ({ seats }) =>
      seats.every(({ id }) => id !== placeOf(adopted.record, 'etcd-1').id),
    );
    expect(repaired.voters.get('etcd-0')).toBe(before.voters.get('etcd-0'));
    expect(await world.missing(repaired.record)).toEqual({});
  });

  test('ZooKeeper has lost everything, and the scheduler that led is gone: one that only stood by has the key', async () => {
    const before = await begin();
    const [first, ...others] = schedulers as [OneOfSeveral, ...OneOfSeveral[]];
    await world.zooKeeper.stop();
    first.kill('SIGKILL');
    await world.zooKeeper.wipe();
    const sinceMs = clock.monotonicMs();
    await world.zooKeeper.start();
    await world.leader(others);
    await expectUntouched(before, sinceMs);
  });

  test('ZooKeeper has lost everything, and all schedulers are gone: a new one says that it needs the key', async () => {
    const before = await begin();
    for (const one of schedulers) await one.stop();
    await world.zooKeeper.stop();
    await world.zooKeeper.wipe();
    const sinceMs = clock.monotonicMs();
    await world.zooKeeper.start();
    const keyless = world.start('keyless');
    const { code, stderr } = await keyless.ended;
    expect(code).toBe(8);
    expect(stderr).toContain('members that follow another scheduler');
    const session = await world.client.session();
    expect(await session.stat(world.nodes.record)).toBeNull();
    expect(await session.stat(world.nodes.orderKey), 'its own key is nobody’s').toBeNull();
    const [first] = schedulers as [OneOfSeveral];
    const args = ['--order-key-file', first.orderKeyFile];
    await world.leader([world.start('told', { args })]);
    await expectUntouched(before, sinceMs);
  });

  test('the endpoints are in ZooKeeper, as the API has them', async () => {
    const before = await begin();
    const [first] = schedulers as [OneOfSeveral];
    const { endpoints } = await first.view();
    expect(endpoints.client).toHaveLength(before.record.size);
    await until('the node says what the API does', SETTLE_MS, async () => {
      const { data } = await (await world.client.session()).get(world.nodes.endpoints);
      const told = JSON.parse(Buffer.from(data).toString('utf8')) as unknown;
      return JSON.stringify(told) === JSON.stringify(endpoints);
    });
  });

  test('the service is uninstalled through a standby: nothing of it is left, and nobody begins it anew', async () => {
    const { record } = await begin();
    const [, standby] = schedulers as [OneOfSeveral, OneOfSeveral];
    const response = await fetch(`${standby.url()}/v1/uninstall`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization: `Bearer ${API_TOKEN}` },
      body: JSON.stringify({ destroyData: true }),
    });
    expect(response.status).toBe(200);
    for (const one of schedulers) {
      await until(`${one.name} says that it is done`, SETTLE_MS, async () => {
        const plan = await fetch(`${one.url()}/v1/plans/deploy`);
        return plan.status === 200 && (await one.view()).uninstall?.done === true;
      });
    }
    const session = await world.client.session();
    expect(await session.stat(world.nodes.base)).toBeNull();
    expect(await tasksOfMaster(world.cluster, world.transport)).toEqual(new Map());
    expect(taskProcesses(record.cluster)).toEqual(new Map());
    expect(await holdingsOfMaster(world.cluster, world.transport)).toEqual(new Map());
    for (const one of schedulers) expect(await one.stop()).toBe(0);
    expect(await session.stat(world.nodes.base)).toBeNull();
  });

  /** A scheduler that knows nothing of ours but the framework's id; resolves with what ended it. */
  async function subscribeOutside({ framework }: ClusterRecord): Promise<unknown> {
    const outsider = createSchedulerConnection({
      transport: world.transport,
      clock,
      random: createSystemRandom(),
      log: silentLogger,
      masters: createFixedMasterSource(world.cluster.masterUrls.join(',')),
      frameworkInfo: () => frameworkInfoOf({ ...OUTSIDER, name: framework.name }),
      frameworkId: framework.id,
      onEvent: () => undefined,
    });
    return await outsider.run(new AbortController().signal).catch((error: unknown) => error);
  }

  /** By the master's word. Name tasks come and go with what their members serve, so they are left out. */
  async function memberTasks({ seats }: ClusterRecord) {
    const tasks = await tasksOfMaster(world.cluster, world.transport);
    return seats.map(({ task }) => ({ task, ...tasks.get(task) }));
  }

  async function loseHost(record: ClusterRecord, slot: string): Promise<void> {
    const { hostname } = placeOf(record, slot);
    const agent = world.cluster.agents.findIndex((one) => one.hostname === hostname);
    await world.cluster.killHost(agent);
    world.cluster.wipe(agent);
    await world.cluster.markGone(agent);
  }
});

function placeOf(record: ClusterRecord, slot: string): ClusterRecord['seats'][number] {
  const seat = record.seats.find((one) => one.slot === slot && one.lost === null);
  if (seat === undefined) throw new Error(`${slot} has no place`);
  return seat;
}

const placesOf = (record: ClusterRecord) =>
  record.seats
    .map(({ slot, id, agentId, task, ports }) => ({ slot, id, agentId, task, ports }))
    .toSorted((a, b) => a.slot.localeCompare(b.slot));
