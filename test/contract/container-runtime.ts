import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ContainerEvent, ContainerRuntime, ContainerSpec } from '../../src/local/container-runtime.ts';

/** A runtime, what it told, and tasks that it can run. */
export interface ContainersFixture {
  readonly runtime: ContainerRuntime;
  /** Of one container, in their order, with the monotonic time of each. */
  events(containerId: string): readonly { readonly event: ContainerEvent; readonly atMs: number }[];
  nowMs(): number;
  /** Lets time pass until it holds; fails after a while. */
  until(what: string, condition: () => boolean): Promise<void>;
  /** Ends by itself with that code. */
  endsWith(containerId: string, code: number): ContainerSpec;
  /** Runs until a signal ends it. */
  waits(containerId: string): ContainerSpec;
  /** Takes no notice of SIGTERM. Resolves when it has come so far. */
  launchStubborn(containerId: string): Promise<void>;
  /** A port of the host at which something listens, until `stop`. */
  listen(): Promise<{ readonly port: number; stop(): Promise<void> }>;
  close(): Promise<void>;
}

/** What every implementation of {@link ContainerRuntime} keeps. */
export function containerRuntimeContract(create: () => Promise<ContainersFixture>): void {
  let fixture: ContainersFixture;
  beforeEach(async () => {
    fixture = await create();
  });
  afterEach(async () => await fixture.close());

  const told = (containerId: string): readonly ContainerEvent[] =>
    fixture.events(containerId).map(({ event }) => event);
  const kinds = (containerId: string): readonly string[] => told(containerId).map(({ kind }) => kind);
  const awaitEvent = async (containerId: string, kind: ContainerEvent['kind']): Promise<void> =>
    await fixture.until(`${kind} of ${containerId}`, () => kinds(containerId).includes(kind));
  /** Long enough for anything that is on its way. */
  const passMs = async (durationMs: number): Promise<void> => {
    const startMs = fixture.nowMs();
    await fixture.until('time passes', () => fixture.nowMs() - startMs >= durationMs);
  };

  test('a task starts, runs, and its end is the last that is told', async () => {
    fixture.runtime.launch(fixture.endsWith('c1', 7));
    await awaitEvent('c1', 'exited');
    fixture.runtime.kill('c1', 0);
    fixture.runtime.destroy('c1');
    await passMs(200);
    const [starting, running, ...rest] = told('c1');
    expect(starting).toEqual({ kind: 'starting', executorPid: expect.any(Number) });
    expect(running).toEqual({ ...starting, kind: 'running' });
    expect(rest).toEqual([{ kind: 'exited', code: 7, signal: null, killed: false }]);
  });

  test('containers are told apart', async () => {
    fixture.runtime.launch(fixture.endsWith('c1', 1));
    fixture.runtime.launch(fixture.waits('c2'));
    fixture.runtime.launch(fixture.endsWith('c3', 3));
    await awaitEvent('c1', 'exited');
    await awaitEvent('c3', 'exited');
    await awaitEvent('c2', 'running');
    expect(told('c1').at(-1)).toMatchObject({ code: 1 });
    expect(told('c3').at(-1)).toMatchObject({ code: 3 });
    expect(kinds('c2')).toEqual(['starting', 'running']);
  });

  test('nothing is told from within a call', async () => {
    const { runtime } = fixture;
    const duringCall = (call: () => void): number => {
      const before = fixture.events('c1').length;
      call();
      return fixture.events('c1').length - before;
    };
    expect(duringCall(() => runtime.launch(fixture.waits('c1')))).toBe(0);
    await awaitEvent('c1', 'running');
    expect(duringCall(() => runtime.kill('c1', 5_000))).toBe(0);
    expect(duringCall(() => runtime.destroy('c1'))).toBe(0);
  });

  test('a kill is told once, then the end by its signal', async () => {
    fixture.runtime.launch(fixture.waits('c1'));
    await awaitEvent('c1', 'running');
    fixture.runtime.kill('c1', 5_000);
    fixture.runtime.kill('c1', 5_000);
    await awaitEvent('c1', 'exited');
    expect(told('c1').slice(2)).toEqual([
      { kind: 'killing', becauseUnhealthy: false },
      { kind: 'exited', code: null, signal: 'SIGTERM', killed: true },
    ]);
  });

  test('what ignores SIGTERM has its grace and is ended then', async () => {
    await fixture.launchStubborn('c1');
    const askedMs = fixture.nowMs();
    fixture.runtime.kill('c1', 300);
    await awaitEvent('c1', 'exited');
    expect(told('c1').at(-1)).toEqual({ kind: 'exited', code: null, signal: 'SIGKILL', killed: true });
    // Timers of Node.js may be early by a part of a millisecond.
    expect((fixture.events('c1').at(-1)?.atMs ?? 0) - askedMs).toBeGreaterThanOrEqual(299);
  });

  test('a second kill brings the end nearer and never puts it off', async () => {
    await fixture.launchStubborn('c1');
    const askedMs = fixture.nowMs();
    fixture.runtime.kill('c1', 600_000);
    fixture.runtime.kill('c1', 100);
    fixture.runtime.kill('c1', 600_000);
    await awaitEvent('c1', 'exited');
    expect((fixture.events('c1').at(-1)?.atMs ?? 0) - askedMs).toBeLessThan(60_000);
    expect(kinds('c1')).toEqual(['starting', 'running', 'killing', 'exited']);
  });

  test('a kill before there is an executor ends the launch', async () => {
    fixture.runtime.launch(fixture.waits('c1'));
    fixture.runtime.kill('c1', 5_000);
    await awaitEvent('c1', 'exited');
    await passMs(500);
    expect(told('c1')).toEqual([{ kind: 'exited', code: null, signal: 'SIGTERM', killed: true }]);
  });

  test('a destroyed container has no end of its own: its executor is gone', async () => {
    await fixture.launchStubborn('c1');
    await awaitEvent('c1', 'running');
    fixture.runtime.destroy('c1');
    await awaitEvent('c1', 'executor-terminated');
    await passMs(200);
    expect(kinds('c1')).toEqual(['starting', 'running', 'executor-terminated']);
  });

  test('one that was destroyed before there was an executor never starts', async () => {
    fixture.runtime.launch(fixture.waits('c1'));
    fixture.runtime.destroy('c1');
    await awaitEvent('c1', 'executor-terminated');
    await passMs(500);
    expect(kinds('c1')).toEqual(['executor-terminated']);
  });

  test('nobody minds a container that is not there', async () => {
    fixture.runtime.kill('nobody', 0);
    fixture.runtime.destroy('nobody');
    await passMs(50);
    expect(told('nobody')).toEqual([]);
  });

  test('a check tells a success once, every failure, and kills at the last one it allows', async () => {
    const server = await fixture.listen();
    const healthCheck = {
      type: 'TCP' as const,
      tcp: { port: server.port },
      delay_seconds: 0,
      interval_seconds: 0.03,
      timeout_seconds: 1,
      grace_period_seconds: 0,
      consecutive_failures: 3,
    };
    fixture.runtime.launch({ ...fixture.waits('c1'), healthCheck });
    await awaitEvent('c1', 'health');
    await passMs(150);
    expect(kinds('c1')).toEqual(['starting', 'running', 'health']);
    await server.stop();
    await awaitEvent('c1', 'exited');
    expect(told('c1').slice(2)).toEqual([
      { kind: 'health', healthy: true },
      { kind: 'health', healthy: false },
      { kind: 'health', healthy: false },
      { kind: 'health', healthy: false },
      { kind: 'killing', becauseUnhealthy: true },
      { kind: 'exited', code: null, signal: 'SIGTERM', killed: true },
    ]);
  });
}
