import { describe, expect, test } from 'vitest';
import { plansOf } from '../../src/framework/plans.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import { CONFIG, disruption, record, seat } from './fixtures.ts';

const plan = (ours: ClusterRecord | null, uninstalled = false) => {
  const [deploy] = plansOf({ record: ours, observation: null, uninstalled }, CONFIG.spec);
  const steps = deploy?.phases.flatMap((phase) => phase.steps.map(({ name, status }) => `${name} ${status}`));
  return { status: deploy?.status, steps, phases: deploy?.phases.map(({ name }) => name) };
};
const formed = { ...record().epoch, phase: 'formed' as const };
const data = { epoch: 1, attempt: 1, started: true, memberId: '8e9e', floor: null };
const wanted = (confirmed: boolean) => ({ askedAtMs: 1, by: 'environment' as const, confirmed, skipped: [] });

describe('the plan deploy', () => {
  test('is pending before there is a place, and complete when every slot has had a member', () => {
    expect(plan(null).status).toBe('PENDING');
    expect(plan(record({ seats: [seat()] }))).toMatchObject({
      status: 'IN_PROGRESS',
      steps: ['etcd-0:[server] STARTING', 'etcd-1:[server] PENDING', 'etcd-2:[server] PENDING'],
    });
    const seats = [0, 1, 2].map((at) => seat({ id: `s${at}`, slot: `etcd-${at}`, data }));
    expect(plan(record({ epoch: formed, seats })).status).toBe('COMPLETE');
    // What is lost later is repaired, not deployed.
    const lost = seats.map((one) => ({ ...one, lost: { cause: 'agent-gone' as const, message: 'gone' } }));
    expect(plan(record({ epoch: formed, seats: lost })).status).toBe('COMPLETE');
  });

  test('is the uninstall while there is one: it waits for leave, gives back host by host, and is complete at last', () => {
    expect(plan(record({ seats: [seat()], uninstall: wanted(false) }))).toMatchObject({
      status: 'WAITING',
      phases: ['confirm'],
    });
    const leaving = [{ seat: seat(), reason: 'uninstalled', sinceMs: 1 }];
    expect(plan(record({ leaving, uninstall: wanted(true) }))).toMatchObject({
      phases: ['kill-tasks', 'unreserve-resources-agent-1', 'deregister-service'],
      status: 'IN_PROGRESS',
    });
    expect(plan(null, true)).toMatchObject({ status: 'COMPLETE' });
  });

  test('has the same ids whenever it is asked for', () => {
    expect(plansOf({ record: record(), observation: null, uninstalled: false }, CONFIG.spec)).toEqual(
      plansOf({ record: record(), observation: null, uninstalled: false }, CONFIG.spec),
    );
  });
});

describe('the plan recovery', () => {
  const at = (index: number, changes: Parameters<typeof seat>[0] = {}) =>
    seat({ id: `s${index}`, slot: `etcd-${index}`, task: `etcd-${index}__1`, data, ...changes });
  const serving = [at(0), at(1), at(2)];
  const whole = { epoch: formed, seats: serving };
  const lost = { cause: 'agent-gone' as const, message: 'its agent is gone' };
  const paused = { paused: [{ plan: 'recovery' as const, by: 'alice', atMs: 1 }], forced: [] };
  const successor = seat({ id: 'next', slot: 'etcd-1', task: 'etcd-1__2' });
  const intent: ClusterRecord['intent'] = {
    id: 'i',
    slot: 'etcd-1',
    reason: 'its agent is gone',
    openedAtMs: 1,
    remove: { memberId: '8e9e', seat: 's1' },
    add: { seat: 'next', peerUrl: 'http://10.0.0.1:31000', memberId: null },
    committed: true,
  };
  const recovery = (ours: ClusterRecord) => {
    const plans = plansOf({ record: ours, observation: null, uninstalled: false }, CONFIG.spec);
    const found = plans.find(({ name }) => name === 'recovery');
    const steps = found?.phases.flatMap((phase) =>
      phase.steps.map(({ name, status }) => `${phase.name} ${name} ${status}`),
    );
    return { status: found?.status, steps };
  };

  test('is complete while all are where they should be', () => {
    expect(recovery(record(whole))).toEqual({ status: 'COMPLETE', steps: [] });
    expect(recovery(record())).toEqual({ status: 'COMPLETE', steps: [] });
  });

  test('shows a replacement from the loss to the end', () => {
    const gone = record({ ...whole, seats: [at(0), at(1, { lost }), at(2)] });
    expect(recovery(gone)).toEqual({
      status: 'PENDING',
      steps: [
        'etcd-1 etcd-1:[place] PENDING',
        'etcd-1 etcd-1:[server] PENDING',
        'etcd-1 etcd-1:[retire] PENDING',
      ],
    });
    expect(recovery({ ...gone, plans: paused })).toMatchObject({ status: 'WAITING' });
    const joining = { ...gone, seats: [...gone.seats, successor], intent };
    expect(recovery(joining)).toEqual({
      status: 'IN_PROGRESS',
      steps: [
        'etcd-1 etcd-1:[place] COMPLETE',
        'etcd-1 etcd-1:[server] STARTED',
        'etcd-1 etcd-1:[retire] PENDING',
      ],
    });
  });

  test('shows a task that is launched again, but none that an operator ended or paused', () => {
    const taskEnd = {
      standing: 'ended' as const,
      state: 'TASK_FAILED',
      source: 'SOURCE_EXECUTOR',
      reason: '',
      message: '',
      atMs: 1,
    };
    const seats = [at(0), at(1, { taskEnd }), at(2, { taskEnd, paused: { by: 'alice', atMs: 1 } })];
    expect(recovery(record({ ...whole, seats }))).toEqual({
      status: 'PENDING',
      steps: ['etcd-1 etcd-1:[server] PENDING'],
    });
    const restart = disruption({ slot: 'etcd-1', seat: 's1', task: 'etcd-1__1' });
    expect(recovery(record({ ...whole, seats, disruption: restart }))).toMatchObject({ status: 'COMPLETE' });
  });
});
