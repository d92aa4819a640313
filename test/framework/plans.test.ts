import { describe, expect, test } from 'vitest';
import { plansOf } from '../../src/framework/plans.ts';
import type { ClusterRecord } from '../../src/protocol/record.ts';
import { record, seat } from './fixtures.ts';

const plan = (ours: ClusterRecord | null, uninstalled = false) => {
  const [deploy] = plansOf({ record: ours, observation: null, uninstalled }, 3);
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
    expect(plansOf({ record: record(), observation: null, uninstalled: false }, 3)).toEqual(
      plansOf({ record: record(), observation: null, uninstalled: false }, 3),
    );
  });
});
