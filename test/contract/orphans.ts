import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Orphans } from '../../src/member/orphan-port.ts';

/** A process that an earlier task left on the host. */
export interface LeftBehind {
  /** As a report names it. */
  readonly pid: number;
  isAlive(): boolean;
}

export interface OrphansFixture {
  /** Of one seat's supervisor, which has just been started. */
  readonly orphans: Orphans;
  /** Of that seat, or of another on the same host. */
  leaveSupervisor(seat: 'own' | 'another'): Promise<LeftBehind>;
  /** One whose supervisor has ended before it. With `port` it holds a port of the seat that sweeps. */
  leaveEtcd(seat: 'own' | 'another', port?: 'own'): Promise<LeftBehind>;
  /** A port of the seat that sweeps. */
  readonly port: number;
  settle<T>(promise: Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** What every implementation of {@link Orphans} keeps. */
export function orphansContract(create: () => Promise<OrphansFixture>): void {
  let fixture: OrphansFixture;
  beforeEach(async () => {
    fixture = await create();
  });
  afterEach(async () => await fixture.close());
  const sweep = async () => await fixture.settle(fixture.orphans.sweep(new AbortController().signal));

  test('where nothing was left nothing is done', async () => {
    expect(await sweep()).toEqual({ killed: [], foreign: [] });
  });

  test('supervisor and etcd of an earlier task have ended when it is over, the supervisor first', async () => {
    const etcd = await fixture.leaveEtcd('own');
    const supervisor = await fixture.leaveSupervisor('own');
    const { killed, foreign } = await sweep();
    expect([supervisor.isAlive(), etcd.isAlive()]).toEqual([false, false]);
    expect(killed.map(({ pid }) => pid)).toEqual([supervisor.pid, etcd.pid]);
    for (const { command } of killed) expect(command).not.toBe('');
    expect(foreign).toEqual([]);
    expect(await sweep()).toEqual({ killed: [], foreign: [] });
  });

  test('another seat on the same host is left alone', async () => {
    const left = [await fixture.leaveSupervisor('another'), await fixture.leaveEtcd('another')];
    expect(await sweep()).toEqual({ killed: [], foreign: [] });
    expect(left.map((process) => process.isAlive())).toEqual([true, true]);
  });

  test('who is not ours and holds a port of ours is told, and left alone', async () => {
    const etcd = await fixture.leaveEtcd('another', 'own');
    const { killed, foreign } = await sweep();
    expect(killed).toEqual([]);
    expect(foreign).toEqual([
      { port: fixture.port, process: { pid: etcd.pid, command: expect.stringMatching(/./) } },
    ]);
    expect(etcd.isAlive()).toBe(true);
  });
}
