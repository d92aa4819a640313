import { afterEach, describe, expect, it } from 'vitest';
import { beginEpoch, createArchive } from '../../src/backup/archive.ts';
import { type ArchiveStore, ArchiveStoreError } from '../../src/backup/store-port.ts';
import type { ArchiveAccess } from '../../src/framework/archive-access.ts';
import type { SchedulerConfig } from '../../src/framework/config.ts';
import { ownershipOf, reservationLabels } from '../../src/framework/labels.ts';
import { createScheduler, type Scheduler } from '../../src/framework/scheduler.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import type { Call, Offer, TaskStatus } from '../../src/mesos/wire.ts';
import { LAUNCH_VARIABLE, type Launch, supervisorUrlOf } from '../../src/protocol/launch.ts';
import type { Order } from '../../src/protocol/orders.ts';
import { type ClusterRecord, parseRecord, serializeRecord } from '../../src/protocol/record.ts';
import { createOrderKey } from '../../src/protocol/signature.ts';
import { silentLogger } from '../silent-logger.ts';
import { createMemoryArchiveStore } from '../sim/memory-archive-store.ts';
import { createMemoryStore, type MemoryStore } from '../sim/memory-store.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import {
  createFakeMaster,
  createFakeMembers,
  done,
  FRAMEWORK_ID,
  launchesOf,
  operationsOf,
  status,
} from './fake-master.ts';
import { CONFIG, offer, offers, ROLE, record, seat } from './fixtures.ts';

/** The scheduler's loop against a master and supervisors that do only what a test says. */

const { key } = createOrderKey();
const running: AbortController[] = [];
afterEach(() => {
  for (const stop of running.splice(0)) stop.abort();
});

function world(store: MemoryStore = createMemoryStore()) {
  const clock = createVirtualClock({ settleTurns: 3 });
  const master = createFakeMaster();
  const members = createFakeMembers(clock.sleep);
  let ids = 0;
  const start = (changes: Partial<SchedulerConfig> = {}, archive: ArchiveAccess | null = null) => {
    const stop = new AbortController();
    running.push(stop);
    const scheduler = createScheduler({
      config: { ...CONFIG, ...changes },
      ports: {
        transport: master.transport,
        masters: createFixedMasterSource('http://master:5050'),
        clock,
        random: { next: () => 0.5 },
        ids: {
          uuid: () => {
            ids += 1;
            return `id-${ids}`;
          },
        },
        log: silentLogger,
        store,
        members,
        orderKey: key,
        archive,
      },
    });
    const run: { error: unknown; ended: boolean } = { error: null, ended: false };
    void scheduler.run(stop.signal).then(
      () => {
        run.ended = true;
      },
      (error: unknown) => {
        run.error = error;
        run.ended = true;
      },
    );
    return { scheduler, stop, run };
  };
  return { clock, master, members, store, start };
}

const stored = (store: MemoryStore): ClusterRecord => parseRecord(store.history.at(-1) ?? new Uint8Array());
const storeOf = async (first: ClusterRecord): Promise<MemoryStore> => {
  const store = createMemoryStore();
  await store.save(serializeRecord(first), null);
  return store;
};
const callsOf = <T extends Call['type']>(calls: readonly Call[], type: T) =>
  calls.filter((call): call is Call & { type: T } => call.type === type);
const offersEvent = (list: readonly Offer[]) => ({ type: 'OFFERS', offers: { offers: list } }) as const;
const update = (task: string, changes: Partial<TaskStatus>) =>
  ({
    type: 'UPDATE',
    update: {
      status: {
        task_id: { value: task },
        state: 'TASK_RUNNING',
        source: 'SOURCE_EXECUTOR',
        agent_id: { value: 'S1' },
        ...changes,
      },
    },
  }) as const;
const HELD = { epoch: 1, attempt: 1, started: true, memberId: 'a1', floor: null };
const FORMED: ClusterRecord['epoch'] = { ...record().epoch, phase: 'formed', clusterId: 'c1' };
/** What `seat()` has reserved, beside plenty. */
const offerOfSeat = (id: string, cluster = 'cluster-1') => {
  const owner = ownershipOf(seat(), { framework: 'etcd', cluster, epoch: 1 });
  const mine = [{ type: 'DYNAMIC', role: ROLE, labels: reservationLabels(owner, seat()) }] as const;
  const common = { allocation_info: { role: ROLE }, reservations: mine } as const;
  const { cpus, memMb, diskMb } = CONFIG.spec.resources;
  return offer({
    id,
    more: [
      { name: 'cpus', type: 'SCALAR', scalar: { value: cpus }, ...common },
      { name: 'mem', type: 'SCALAR', scalar: { value: memMb }, ...common },
      { name: 'ports', type: 'RANGES', ranges: { range: [{ begin: 31_000, end: 31_002 }] }, ...common },
      {
        name: 'disk',
        type: 'SCALAR',
        scalar: { value: diskMb },
        disk: {
          persistence: { id: 'etcd-0-seat' },
          volume: { mode: 'RW', container_path: 'etcd-volume' },
        },
        ...common,
      },
    ],
  });
};
/** An archive on a store that can be opened as long as `isThere` says so. */
const archiveOn = (store: ArchiveStore, isThere = () => true): ArchiveAccess => ({
  place: '/mnt/archive',
  givenUp: null,
  open: () =>
    isThere() ? Promise.resolve(store) : Promise.reject(new ArchiveStoreError('unavailable', 'no route')),
  connect: () => {
    throw new Error('nobody is followed here');
  },
  openSpool: () => Promise.resolve(null),
  limits: {},
  fullSchedule: null,
  retain: null,
  verification: null,
});
const isSubscribed = (scheduler: Scheduler) => () => scheduler.snapshot().mesos.subscribed;

describe('a first start', () => {
  it('places every slot in one pass and stores the places before they are launched', async () => {
    const { clock, master, store, start } = world();
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    let atLaunch: ClusterRecord | null = null;
    master.say(offersEvent(offers(3)));
    await clock.runUntil(() => {
      if (launchesOf(master).length > 0) atLaunch ??= stored(store);
      return launchesOf(master).length === 3;
    }, 1_000);
    const seats = (atLaunch as ClusterRecord | null)?.seats ?? [];
    expect(seats.map((one) => one.task)).toEqual(launchesOf(master).map((task) => task.task_id.value));
    expect(stored(store).framework.id).toBe(FRAMEWORK_ID);
  });

  it('tells the supervisor all that it needs', async () => {
    const { clock, master, store, start } = world();
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(offersEvent(offers(1)));
    await clock.runUntil(() => launchesOf(master).length === 1, 1_000);
    const variables = launchesOf(master)[0]?.command?.environment?.variables ?? [];
    const launch = JSON.parse(
      variables.find(({ name }) => name === LAUNCH_VARIABLE)?.value ?? '{}',
    ) as Launch;
    const [placed] = stored(store).seats;
    expect(launch).toMatchObject({
      cluster: stored(store).cluster,
      slot: placed?.slot,
      seat: placed?.id,
      task: placed?.task,
      schedulerKey: key.publicKey,
      volume: { id: placed?.volumeId },
      host: '10.0.0.1',
      ports: placed?.ports,
    });
  });

  it.each([
    ['closed', 403],
    ['silent about our own framework', { frameworks: [] }],
  ])(
    'stops where the operator API is %s and offers show nothing: a cluster may run unseen',
    async (_, answer) => {
      const { clock, master, start } = world();
      master.answer('GET_FRAMEWORKS', answer);
      const { scheduler, run } = start();
      await clock.runUntil(isSubscribed(scheduler), 1_000);
      master.say(offersEvent(offers(3)));
      await clock.advance(2_500);
      expect(run.ended).toBe(false);
      await clock.advance(1_000);
      expect(run.error).toMatchObject({
        code: 'not-a-first-start',
        message: expect.stringContaining('not even our own framework') as string,
      });
      expect(operationsOf(master)).toEqual([]);
    },
  );

  it.each(['auto', 'new'] as const)(
    'stops where the archive is of a cluster, with --bootstrap=%s too',
    async (bootstrap) => {
      const { clock, store, start } = world();
      const archives = createMemoryArchiveStore();
      const never = new AbortController().signal;
      const wanted = { archiveId: 'a1', owner: 'cluster-0', atMs: 1 };
      const archive = await createArchive(archives, wanted, never);
      await beginEpoch(archive, { epoch: 2, clusterId: 'abc', parent: null, atMs: 2 }, never);
      const { run } = start({ bootstrap }, archiveOn(archives));
      await clock.runUntil(() => run.ended, 5_000);
      expect(run.error).toMatchObject({
        code: 'not-a-first-start',
        message:
          'no record is stored, but /mnt/archive holds archive a1 of cluster cluster-0: ' +
          'it goes up to revision 0 of epoch 2',
        hint: expect.stringContaining('etcd-mesos restore') as string,
      });
      expect(store.history).toEqual([]);
    },
  );

  it('waits for an archive that cannot be looked at, and says so', async () => {
    const { clock, master, store, start } = world();
    let isThere = false;
    const { scheduler, run } = start(
      {},
      archiveOn(createMemoryArchiveStore(), () => isThere),
    );
    await clock.advance(600_000);
    expect(run.ended).toBe(false);
    expect(store.history).toEqual([]);
    expect(scheduler.snapshot().archive).toMatchObject({
      state: 'away',
      problem: 'whether this is a first start is not known: no route',
    });
    isThere = true;
    await clock.runUntil(isSubscribed(scheduler), 60_000);
    master.say(offersEvent(offers(3)));
    await clock.runUntil(() => launchesOf(master).length === 3, 1_000);
    expect(scheduler.snapshot()).toMatchObject({
      archive: { state: 'waiting', problem: null },
      observation: { archive: { archivedRevision: '0', verifiedFullAtMs: null } },
    });
  });

  it('begins there on the operator’s word', async () => {
    const { clock, master, start } = world();
    master.answer('GET_FRAMEWORKS', 403);
    const { scheduler } = start({ bootstrap: 'new' });
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(offersEvent(offers(3)));
    await clock.runUntil(() => launchesOf(master).length === 3, 1_000);
  });

  it('is still in doubt for the scheduler that follows one that ended while it was', async () => {
    const { clock, master, start } = world(await storeOf(record()));
    master.answer('GET_FRAMEWORKS', 403);
    const { scheduler, run } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(offersEvent(offers(3)));
    await clock.advance(4_000);
    expect(run.error).toMatchObject({ code: 'not-a-first-start' });
    expect(operationsOf(master)).toEqual([]);
  });

  it('reads the volumes of the cluster that offers show, where nothing else can tell', async () => {
    const { clock, master, store, start } = world();
    master.answer('GET_FRAMEWORKS', 403);
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(offersEvent([offerOfSeat('O1'), ...offers(3).slice(1)]));
    await clock.runUntil(() => stored(store).seats.length === 1, 1_000);
    expect(stored(store)).toMatchObject({
      cluster: 'cluster-1',
      epoch: { phase: 'adopting' },
      seats: [{ id: 'etcd-0-seat', slot: 'etcd-0', volumeId: 'etcd-0-seat', data: null }],
    });
    const { task } = stored(store).seats[0] as { task: string };
    master.say(update(task, { state: 'TASK_UNKNOWN', source: 'SOURCE_MASTER' }));
    await clock.advance(100);
    master.say(offersEvent([offerOfSeat('O4')]));
    await clock.runUntil(() => launchesOf(master).length === 1, 5_000);
    expect(operationsOf(master).map(({ type }) => type)).toEqual(['LAUNCH']);
    expect(scheduler.snapshot().blocked).toContainEqual(expect.objectContaining({ code: 'adopting' }));
  });

  it('stops where offers show the reservations of two other clusters under its name', async () => {
    const { clock, master, start } = world();
    master.answer('GET_FRAMEWORKS', 403);
    const { scheduler, run } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(
      offersEvent([offerOfSeat('O1'), { ...offerOfSeat('O2', 'another'), agent_id: { value: 'S2' } }]),
    );
    await clock.runUntil(() => run.ended, 1_000);
    expect(run.error).toMatchObject({ code: 'not-a-first-start' });
    expect(operationsOf(master)).toEqual([]);
  });

  it('says what is missing when no agent is large enough', async () => {
    const { clock, master, start } = world();
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(offersEvent([offer({ disk: 24 })]));
    await clock.runUntil(() => scheduler.snapshot().offers.explanations.length > 0, 1_000);
    const { blocked, offers } = scheduler.snapshot();
    expect(blocked).toContainEqual({
      code: 'offers-never-fit',
      slot: 'etcd-0',
      message: 'no agent is large enough: disk: 1024 MB needed, at most 24 MB on agent-1, 1000 MB missing',
    });
    expect(offers.explanations[0]).toMatchObject({ outcome: 'fail', slot: 'etcd-0', hostname: 'agent-1' });
    const [decline] = callsOf(master.calls, 'DECLINE');
    expect(decline?.decline.filters?.refuse_seconds).toBe(5);
  });
});

describe('taking over', () => {
  it('raises the generation before it subscribes, and subscribes under the stored id', async () => {
    const { clock, master, store, start } = world(await storeOf(record({ generation: 6 })));
    let generation = 0;
    const { scheduler } = start();
    await clock.runUntil(() => {
      if (master.subscriptions.length === 1) generation ||= stored(store).generation;
      return scheduler.snapshot().mesos.subscribed;
    }, 1_000);
    expect(generation).toBe(7);
    expect(master.subscriptions).toEqual([FRAMEWORK_ID]);
  });

  it('ends when another scheduler has written the record, and acknowledges nothing', async () => {
    const { clock, master, store, start } = world(await storeOf(record({ seats: [seat()] })));
    const { scheduler, run } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    const version = (await store.load())?.version ?? null;
    await store.save(serializeRecord(record({ generation: 9 })), version);
    master.say(update('etcd-0__one', { state: 'TASK_FAILED', uuid: 'dXVpZA==' }));
    await clock.runUntil(() => run.ended, 5_000);
    expect(run.error).toMatchObject({ code: 'record-conflict' });
    expect(stored(store)).toEqual(record({ generation: 9 }));
    expect(callsOf(master.calls, 'ACKNOWLEDGE')).toEqual([]);
  });

  it('refuses the record of another framework', async () => {
    const { clock, start } = world(await storeOf(record({ framework: { name: 'other', id: null } })));
    const { run } = start();
    await clock.runUntil(() => run.ended, 1_000);
    expect(run.error).toMatchObject({ code: 'wrong-record' });
  });

  it('asks about every recorded task until each is answered for', async () => {
    const ours = record({
      seats: [seat()],
      leaving: [{ seat: seat({ id: 'old', task: 'etcd-0__old' }), reason: 'r', sinceMs: 0 }],
    });
    const { clock, master, start } = world(await storeOf(ours));
    const { scheduler } = start();
    await clock.runUntil(() => callsOf(master.calls, 'RECONCILE').length >= 2, 1_000);
    const asked = callsOf(master.calls, 'RECONCILE').map((call) =>
      call.reconcile.tasks.map((task) => task.task_id.value),
    );
    expect(asked).toEqual([[], ['etcd-0__one', 'etcd-0__old']]);
    master.say(offersEvent(offers(3)));
    master.say(update('etcd-0__one', { source: 'SOURCE_MASTER' }));
    await clock.advance(2_000);
    expect(callsOf(master.calls, 'RECONCILE').at(-1)?.reconcile.tasks).toMatchObject([
      { task_id: { value: 'etcd-0__old' } },
    ]);
    expect([...(scheduler.snapshot().observation?.mesos.unanswered ?? [])]).toEqual(['etcd-0__old']);
    master.say(update('etcd-0__old', { source: 'SOURCE_MASTER', state: 'TASK_GONE' }));
    await clock.runUntil(() => scheduler.snapshot().observation?.mesos.unanswered.size === 0, 1_000);
    master.say(update('etcd-0__old', { state: 'TASK_KILLED' }));
    const forAll = () =>
      callsOf(master.calls, 'RECONCILE').filter((call) => call.reconcile.tasks.length === 0);
    expect(forAll()).toHaveLength(1);
    await clock.runUntil(() => forAll().length === 2, 700_000);
  });
});

describe('a framework that Mesos has removed', () => {
  const born = () => record({ seats: [seat({ data: HELD })], epoch: FORMED });
  it('registers anew, once, and runs its members again on the volumes they left', async () => {
    const { clock, master, store, start } = world(await storeOf(born()));
    const { scheduler, run } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(update('etcd-0__one', {}));
    await clock.advance(100);
    const ids: (string | null)[] = [];
    store.onSave((bytes) => ids.push(parseRecord(bytes).framework.id));
    master.remove(FRAMEWORK_ID);
    await clock.runUntil(() => master.subscriptions.length === 2, 5_000);
    expect(master.subscriptions).toEqual([FRAMEWORK_ID, null]);
    await clock.runUntil(() => stored(store).framework.id === 'framework-2', 5_000);
    expect(ids.slice(0, 2)).toEqual([null, 'framework-2']);
    const audit = (await store.read('audit')).map((entry) => JSON.parse(entry) as unknown);
    expect(audit).toMatchObject([{ what: 'framework-removed', frameworkId: FRAMEWORK_ID, count: 1 }]);

    master.say(update('etcd-0__one', { state: 'TASK_GONE', source: 'SOURCE_MASTER' }));
    master.say(offersEvent([offerOfSeat('again')]));
    await clock.runUntil(() => launchesOf(master).length === 1, 5_000);
    expect(launchesOf(master)[0]?.labels).toMatchObject({
      labels: expect.arrayContaining([{ key: 'etcd_mesos_seat', value: 'etcd-0-seat' }]) as unknown,
    });
    expect(operationsOf(master).map(({ type }) => type)).toEqual(['LAUNCH']);
    expect(stored(store).seats[0]).toMatchObject({ id: 'etcd-0-seat', launches: 2, data: HELD });
    await clock.advance(10_000);
    expect(master.subscriptions).toHaveLength(2);
    expect(run.ended).toBe(false);
  });

  it('is understood when it is told at the first subscription of a new scheduler', async () => {
    const { clock, master, store, start } = world(await storeOf(born()));
    master.remove(FRAMEWORK_ID);
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 10_000);
    expect(master.subscriptions).toEqual([FRAMEWORK_ID, null]);
    await clock.runUntil(() => stored(store).framework.id === 'framework-2', 5_000);
    expect(stored(store).epoch).toEqual(FORMED);
  });

  it('comes back ever more slowly when it is removed again and again, and says so', async () => {
    const { clock, master, start } = world(await storeOf(born()));
    const { scheduler, run } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    const pauses: number[] = [];
    for (let round = 0; round < 4; round += 1) {
      const at = clock.monotonicMs();
      const before = master.subscriptions.length;
      master.remove(scheduler.snapshot().mesos.frameworkId ?? '');
      await clock.runUntil(() => !scheduler.snapshot().mesos.subscribed, 5_000);
      expect(scheduler.snapshot().mesos.problem).toContain('it registers anew');
      await clock.runUntil(() => master.subscriptions.length > before, 100_000);
      pauses.push(Math.round((clock.monotonicMs() - at) / 1_000));
      await clock.runUntil(isSubscribed(scheduler), 1_000);
    }
    expect(pauses).toEqual([1, 10, 20, 40]);
    expect(run.ended).toBe(false);
  });

  it('is the end where the cluster is given up and nothing is left: the record goes too', async () => {
    const uninstall = { askedAtMs: 0, by: 'operator' as const, confirmed: true, skipped: [] };
    const store = await storeOf({ ...born(), seats: [], leaving: [], uninstall });
    const { clock, master, start } = world(store);
    const { scheduler, run } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.remove(FRAMEWORK_ID);
    await clock.runUntil(() => run.ended, 5_000);
    expect(run.error).toBeNull();
    expect(master.subscriptions).toEqual([FRAMEWORK_ID]);
    expect(await store.load()).toBeNull();
    expect(scheduler.snapshot().uninstalled).toBe(true);
  });
});

describe('an update', () => {
  const failed = update('etcd-0__one', { state: 'TASK_FAILED', message: 'killed', uuid: 'dXVpZA==' });

  it('is acknowledged once what it means is stored, and not before', async () => {
    const { clock, master, store, start } = world(await storeOf(record({ seats: [seat()] })));
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    store.failNext('before');
    master.say(failed);
    await clock.advance(500);
    expect(callsOf(master.calls, 'ACKNOWLEDGE')).toEqual([]);
    expect(stored(store).seats[0]?.taskEnd).toBeNull();
    await clock.runUntil(() => callsOf(master.calls, 'ACKNOWLEDGE').length > 0, 5_000);
    expect(stored(store).seats[0]?.taskEnd).toMatchObject({ standing: 'ended', state: 'TASK_FAILED' });
    expect(callsOf(master.calls, 'ACKNOWLEDGE')).toEqual([
      {
        type: 'ACKNOWLEDGE',
        framework_id: { value: FRAMEWORK_ID },
        acknowledge: { agent_id: { value: 'S1' }, task_id: { value: 'etcd-0__one' }, uuid: 'dXVpZA==' },
      },
    ]);
  });

  it('is believed when a save that seemed to fail was carried out', async () => {
    const { clock, master, store, start } = world(await storeOf(record({ seats: [seat()] })));
    const { scheduler, run } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    store.failNext('after');
    master.say(failed);
    await clock.runUntil(() => callsOf(master.calls, 'ACKNOWLEDGE').length === 1, 5_000);
    expect(run.ended).toBe(false);
    expect(scheduler.snapshot().counters.passFailures).toBe(0);
  });

  it('of the master itself asks for no acknowledgement', async () => {
    const { clock, master, start } = world(await storeOf(record({ seats: [seat()] })));
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(update('etcd-0__one', { source: 'SOURCE_MASTER', state: 'TASK_LOST' }));
    await clock.runUntil(() => scheduler.snapshot().record?.seats[0]?.taskEnd != null, 1_000);
    expect(callsOf(master.calls, 'ACKNOWLEDGE')).toEqual([]);
  });
});

describe('a crash', () => {
  it('between storing a place and launching it is made up for', async () => {
    const store = createMemoryStore();
    const first = world(store);
    const before = first.start();
    await first.clock.runUntil(isSubscribed(before.scheduler), 1_000);
    // The record with the places is stored, and nothing after that happens.
    store.onSave((bytes) => {
      if (parseRecord(bytes).seats.length > 0) before.stop.abort();
    });
    first.master.say(offersEvent(offers(3)));
    await first.clock.runUntil(() => before.run.ended, 1_000);
    store.onSave(() => undefined);
    const tasks = stored(store).seats.map((one) => one.task);
    expect(tasks).toHaveLength(3);

    const second = world(store);
    const { scheduler } = second.start();
    await second.clock.runUntil(isSubscribed(scheduler), 1_000);
    for (const task of tasks)
      second.master.say(update(task, { source: 'SOURCE_MASTER', state: 'TASK_UNKNOWN' }));
    const again = offers(3).map((one, at) => ({ ...one, id: { value: `again-${at}` } }));
    for (let round = 0; round < 40 && launchesOf(second.master).length < 3; round += 1) {
      second.master.say(
        offersEvent(again.map((one) => ({ ...one, id: { value: `${one.id.value}-${round}` } }))),
      );
      await second.clock.advance(1_000);
    }
    expect(launchesOf(second.master).map(({ name }) => name)).toEqual(Array(3).fill('etcd-server'));
    expect(launchesOf(second.master).some((task) => tasks.includes(task.task_id.value))).toBe(false);
    // What was never reserved is forgotten once the agents have shown that it is not there.
    for (let round = 0; round < 40 && stored(store).leaving.length > 0; round += 1) {
      second.master.say(
        offersEvent(again.map((one) => ({ ...one, id: { value: `${one.id.value}+${round}` } }))),
      );
      await second.clock.advance(1_000);
    }
    expect(stored(store).leaving).toEqual([]);
    expect(stored(store).seats).toHaveLength(3);
  });
});

describe('orders', () => {
  const members = [0, 1, 2].map((at) =>
    seat({
      id: `etcd-${at}-seat`,
      slot: `etcd-${at}`,
      agentId: `S${at + 1}`,
      hostname: `agent-${at + 1}`,
      host: `10.0.0.${at + 1}`,
      task: `etcd-${at}__one`,
    }),
  );

  async function preparing() {
    const built = world(await storeOf(record({ seats: members })));
    for (const one of members) {
      built.members.statuses.set(
        supervisorUrlOf(one),
        status({ slot: one.slot, seat: one.id, task: one.task }),
      );
    }
    return built;
  }

  it('are signed, numbered, one at a time to a supervisor', async () => {
    const { clock, master, members: supervisors, store, start } = await preparing();
    const pending: (() => void)[] = [];
    supervisors.respond = (order) =>
      new Promise((resolve) => {
        pending.push(() => resolve(done(order)));
      });
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    for (const one of members) master.say(update(one.task, { agent_id: { value: one.agentId } }));
    await clock.advance(3_000);
    expect(supervisors.orders.map(({ order }) => [order.kind, order.task])).toEqual(
      members.map((one) => ['prepare', one.task]),
    );
    const { generation, cluster } = stored(store);
    expect(supervisors.orders.map(({ order }) => order)).toMatchObject(
      [1, 2, 3].map((counter) => ({ counter, generation, cluster, epoch: 1, attempt: 1 })),
    );
    // Carried out, without the status showing it yet: given again only after a while.
    for (const answer of pending.splice(0)) answer();
    await clock.advance(900);
    expect(supervisors.orders).toHaveLength(3);
    await clock.advance(500);
    expect(supervisors.orders).toHaveLength(6);
  });

  it('that fail are given again with growing patience, and shown', async () => {
    const { clock, master, members: supervisors, start } = await preparing();
    const refusal = (order: Order) => ({ ...done(order), outcome: 'refused', problem: 'not-empty' }) as const;
    supervisors.respond = (order) => Promise.resolve(refusal(order));
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    for (const one of members) master.say(update(one.task, { agent_id: { value: one.agentId } }));
    await clock.advance(10_000);
    const toFirst = supervisors.orders.filter(({ order }) => order.task === 'etcd-0__one');
    expect(toFirst.length).toBeGreaterThan(3);
    expect(toFirst.length).toBeLessThan(9);
    expect(scheduler.snapshot().blocked).toContainEqual({
      code: 'order-refused',
      slot: 'etcd-0',
      message: 'prepare: not-empty',
    });
  });
});

describe('a supervisor', () => {
  it('of another task at the same address is not heard', async () => {
    const { clock, members: supervisors, start, master } = world(await storeOf(record({ seats: [seat()] })));
    supervisors.statuses.set(supervisorUrlOf(seat()), status({ task: 'etcd-0__older' }));
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(update('etcd-0__one', {}));
    await clock.advance(3_000);
    expect(scheduler.snapshot().observation?.members.get('etcd-0-seat')).toMatchObject({ status: null });
    expect(supervisors.orders).toEqual([]);
  });

  it('that falls silent is noticed', async () => {
    const { clock, members: supervisors, start, master } = world(await storeOf(record({ seats: [seat()] })));
    const url = supervisorUrlOf(seat());
    supervisors.statuses.set(url, status({}));
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(update('etcd-0__one', {}));
    await clock.runUntil(
      () => scheduler.snapshot().observation?.members.get('etcd-0-seat')?.status != null,
      3_000,
    );
    supervisors.statuses.delete(url);
    await clock.advance(4_000);
    const view = scheduler.snapshot().observation?.members.get('etcd-0-seat');
    expect(view?.failingMs).toBeGreaterThan(1_000);
    expect(view?.status).not.toBeNull();
  });
});

describe('an agent on which no task comes up', () => {
  it('is the last choice for the next place', async () => {
    const { clock, master, store, start } = world();
    const { scheduler } = start({ spec: { ...CONFIG.spec, size: 1, launchTimeoutMs: 30_000 } });
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(offersEvent(offers(1)));
    await clock.runUntil(() => launchesOf(master).length === 1, 1_000);
    const [first] = launchesOf(master);
    master.say(update(first?.task_id.value ?? '', { agent_id: { value: 'S1' } }));
    await clock.runUntil(() => stored(store).leaving.length === 1, 60_000);
    const [small] = offers(2).slice(1);
    master.say(offersEvent([offer({ id: 'O9', cpus: 64 }), { ...(small as Offer), id: { value: 'O10' } }]));
    await clock.runUntil(() => launchesOf(master).length === 2, 10_000);
    expect(launchesOf(master)[1]?.agent_id.value).toBe('S2');
  });
});

describe('a master that is away', () => {
  it('is told of once, however long it takes to come back', async () => {
    const { clock, master, start } = world(await storeOf(record({ seats: [seat()] })));
    const { scheduler } = start();
    const told = () => scheduler.snapshot().story.map(({ text }) => text);
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.refuse('SUBSCRIBE', 503);
    master.hangUp();
    await clock.advance(60_000);
    expect(told().filter((text) => text === 'lost the master')).toHaveLength(1);
    master.refuse('SUBSCRIBE', 200);
    await clock.runUntil(isSubscribed(scheduler), 20_000);
    master.hangUp();
    await clock.advance(100);
    expect(told().filter((text) => text === 'lost the master')).toHaveLength(2);
  });
});

describe('offers', () => {
  const whole = record({
    seats: [0, 1, 2].map((at) =>
      seat({
        id: `etcd-${at}-seat`,
        slot: `etcd-${at}`,
        agentId: `S${at + 1}`,
        hostname: `agent-${at + 1}`,
        host: `10.0.0.${at + 1}`,
        agentAddress: `10.0.0.${at + 1}:5051`,
        task: `etcd-${at}__one`,
      }),
    ),
  });

  it('are given back for long and stopped when nothing is wanted, and asked for when something is', async () => {
    const { clock, master, start } = world(await storeOf(whole));
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    for (const one of whole.seats) master.say(update(one.task, { agent_id: { value: one.agentId } }));
    master.say(offersEvent(offers(3)));
    await clock.runUntil(() => scheduler.snapshot().mesos.suppressed, 10_000);
    expect(scheduler.snapshot().mesos.offersHeld).toBe(0);
    const [decline] = callsOf(master.calls, 'DECLINE');
    expect(decline?.decline.offer_ids).toHaveLength(3);
    expect(decline?.decline.filters?.refuse_seconds).toBeGreaterThanOrEqual(3_600);
    expect(callsOf(master.calls, 'SUPPRESS')).toHaveLength(1);
    expect(callsOf(master.calls, 'REVIVE')).toEqual([]);

    master.say(update('etcd-1__one', { agent_id: { value: 'S2' }, state: 'TASK_FAILED', uuid: 'dQ==' }));
    await clock.runUntil(() => callsOf(master.calls, 'REVIVE').length === 1, 500);
    expect(scheduler.snapshot().mesos.suppressed).toBe(false);
    await clock.advance(5_000);
    expect(callsOf(master.calls, 'REVIVE')).toHaveLength(1);
  });

  it('are void after the stream ends, and the subscription is renewed under the same id', async () => {
    const { clock, master, start } = world(await storeOf(whole));
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(offersEvent(offers(3)));
    await clock.runUntil(() => scheduler.snapshot().mesos.offersHeld === 3, 1_000);
    master.hangUp();
    await clock.runUntil(() => !scheduler.snapshot().mesos.subscribed, 1_000);
    expect(scheduler.snapshot().mesos).toMatchObject({
      offersHeld: 0,
      problem: expect.any(String) as string,
    });
    await clock.runUntil(isSubscribed(scheduler), 60_000);
    expect(master.subscriptions).toEqual([FRAMEWORK_ID, FRAMEWORK_ID]);
  });

  it('whose acceptance Mesos refuses lead to a question about the task', async () => {
    const { clock, master, start } = world();
    master.refuse('ACCEPT', 400);
    const { scheduler } = start();
    await clock.runUntil(isSubscribed(scheduler), 1_000);
    master.say(offersEvent(offers(1)));
    await clock.runUntil(() => callsOf(master.calls, 'ACCEPT').length === 1, 1_000);
    const task = scheduler.snapshot().record?.seats[0]?.task;
    const asked = () =>
      callsOf(master.calls, 'RECONCILE').some((call) =>
        call.reconcile.tasks.some((one) => one.task_id.value === task),
      );
    await clock.runUntil(asked, 1_000);
    expect(asked()).toBe(true);
  });
});
