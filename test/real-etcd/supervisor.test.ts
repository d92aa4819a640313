import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Launch } from '../../src/protocol/launch.ts';
import type { OrderBody } from '../../src/protocol/orders.ts';
import { until } from '../wait.ts';
import { etcdBinaries } from './binaries.ts';
import { createSupervisedMember, isAlive, type SupervisedMember, TOKEN } from './supervised-member.ts';

const resume = (changes: Partial<(OrderBody & { kind: 'start' })['args']> = {}): OrderBody => ({
  kind: 'start',
  args: {
    mode: 'resume',
    token: TOKEN,
    initialCluster: [],
    clusterId: null,
    memberId: null,
    floor: null,
    ...changes,
  },
});

/** Another place, as far as a launch says. */
const ELSEWHERE = {
  slot: 'etcd-1',
  seat: 'seat-2',
  volume: { path: 'volume', id: 'volume-2' },
} as const;

describe.for(etcdBinaries().map((binary) => [binary.version.text, binary] as const))(
  'etcd %s',
  ([, binary]) => {
    let member: SupervisedMember;
    beforeEach(async () => {
      member = await createSupervisedMember(binary.path);
    });
    afterEach(async () => await member.close());

    test('a cluster of one is born, and what it is shows in status and on the volume', async () => {
      await member.start();
      expect(await member.status()).toMatchObject({
        phase: 'idle',
        identity: null,
        probe: null,
        problem: null,
      });
      const status = await member.bootstrap();
      expect(status).toMatchObject({
        phase: 'running',
        problem: null,
        dataProblem: null,
        fence: { epoch: 1, generation: 1 },
        identity: { epoch: 1, attempt: 1, token: TOKEN, started: true },
        etcd: { version: binary.version.text, restarts: 0, lastExit: null },
      });
      expect(status.identity?.clusterId).toBe(status.probe?.clusterId);
      expect(status.identity?.memberId).toBe(status.probe?.memberId);
      expect(status.probe?.confirmedMembers).toHaveLength(1);
    });

    test('L0: a killed etcd is started again on its data', async () => {
      await member.start();
      const before = await member.bootstrap();
      process.kill(before.etcd?.pid ?? 0, 'SIGKILL');
      const after = await member.statusWhere(
        'it serves again',
        ({ probe, etcd }) => probe !== null && etcd?.pid !== before.etcd?.pid,
      );
      expect(after.etcd).toMatchObject({ restarts: 1, lastExit: { code: null, signal: 'SIGKILL' } });
      expect(after.identity).toEqual(before.identity);
      expect(after.problem).toBeNull();
    });

    test('the death pact: a killed supervisor takes its etcd with it, and the next one resumes', async () => {
      await member.start();
      const before = await member.bootstrap();
      const pid = before.etcd?.pid ?? 0;
      expect(isAlive(pid)).toBe(true);
      member.signal('SIGKILL');
      await member.ended;
      await until('etcd has ended', 5000, async () => !isAlive(pid));
      await member.start();
      const { clusterId = null, memberId = null } = before.identity ?? {};
      expect(await member.status()).toMatchObject({
        phase: 'stopped',
        identity: before.identity,
        floor: before.floor,
      });
      expect(await member.order(resume({ clusterId, memberId, floor: before.floor }))).toMatchObject({
        outcome: 'done',
      });
      const after = await member.statusWhere('it serves again', ({ probe }) => probe !== null);
      expect(after.identity).toEqual(before.identity);
    });

    test('SIGTERM ends etcd first, then the supervisor with code 0', async () => {
      await member.start();
      const { etcd } = await member.bootstrap();
      member.signal('SIGTERM');
      expect(await member.ended).toMatchObject({ code: 0, signal: null });
      expect(isAlive(etcd?.pid ?? 0)).toBe(false);
    });

    test('an etcd that was left on the volume is killed at the start', async () => {
      await member.start();
      await member.bootstrap();
      member.signal('SIGTERM');
      await member.ended;
      // As if started without a death pact and without our mark: only its open files tell.
      const orphan = spawn(
        binary.path,
        [
          '--name=etcd-0',
          `--data-dir=${join(member.volumePath, 'epoch-1', 'data')}`,
          `--listen-client-urls=http://127.0.0.1:${member.launch.ports.client}`,
          `--advertise-client-urls=http://127.0.0.1:${member.launch.ports.client}`,
          `--listen-peer-urls=http://127.0.0.1:${member.launch.ports.peer}`,
        ],
        { stdio: 'ignore' },
      );
      const gone = new Promise<string | null>((resolve) =>
        orphan.once('exit', (_code, signal) => resolve(signal)),
      );
      await until('the orphan serves', 10_000, async () => {
        const response = await fetch(`http://127.0.0.1:${member.launch.ports.client}/health`);
        return (await response.text()).includes('true');
      });
      await member.start();
      expect(await gone).toBe('SIGKILL');
      expect(await member.status()).toMatchObject({ phase: 'stopped', problem: null });
      expect(await member.order(resume())).toMatchObject({ outcome: 'done' });
      await member.statusWhere('it serves', ({ probe }) => probe !== null);
    });

    test('an old supervisor of this member is ended by the new one', async () => {
      await member.start();
      const before = await member.bootstrap();
      const old = member.ended;
      await member.start();
      expect(await old).toMatchObject({ signal: 'SIGKILL' });
      await member.statusWhere(
        'the new one answers',
        ({ task, phase }) => task === 'etcd-0__2' && phase === 'stopped',
      );
      expect(isAlive(before.etcd?.pid ?? 0)).toBe(false);
    });

    test('a foreign process on our port is told with its id, not killed', async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(member.launch.ports.client, '127.0.0.1', resolve));
      try {
        await member.start();
        const { problem, phase } = await member.status();
        expect(phase).toBe('idle');
        expect(problem).toContain(`port ${member.launch.ports.client} is held by pid ${process.pid}`);
        await member.order({ kind: 'prepare', args: { token: TOKEN } });
        const start = await member.order({
          ...resume({
            mode: 'bootstrap',
            initialCluster: [{ name: 'etcd-0', peerUrl: `http://127.0.0.1:${member.launch.ports.peer}` }],
          }),
        } as OrderBody);
        expect(start).toMatchObject({ outcome: 'failed', problem: 'etcd-refused', message: problem });
      } finally {
        await new Promise((resolve) => server.close(resolve));
      }
    });

    test('what was started is never prepared again, lower generations and older tasks are refused', async () => {
      await member.start();
      await member.bootstrap();
      const prepare: OrderBody = { kind: 'prepare', args: { token: TOKEN } };
      expect(await member.order(prepare)).toMatchObject({ outcome: 'refused', problem: 'already-started' });
      const higher: OrderBody = { kind: 'prepare', args: { token: 'token-2' } };
      expect(await member.order(higher, { attempt: 2 })).toMatchObject({ problem: 'already-started' });
      expect(await member.order({ kind: 'fence', args: {} }, { generation: 5 })).toMatchObject({
        outcome: 'done',
      });
      expect(await member.order({ kind: 'stop', args: { graceMs: 0 } }, { generation: 4 })).toMatchObject({
        problem: 'stale-generation',
      });
      expect(
        await member.order({ kind: 'stop', args: { graceMs: 0 } }, { generation: 5, task: 'etcd-0__0' }),
      ).toMatchObject({
        problem: 'wrong-task',
      });
      expect(await member.status()).toMatchObject({ phase: 'running', fence: { epoch: 1, generation: 5 } });
      // The fence outlives the supervisor.
      member.signal('SIGKILL');
      await member.ended;
      await member.start();
      expect(await member.order(resume(), { generation: 4 })).toMatchObject({ problem: 'stale-generation' });
      expect((await member.status()).phase).toBe('stopped');
    });

    test('data that is not its own, gone, or older than what was reported is refused', async () => {
      await member.start();
      const before = await member.bootstrap();
      member.signal('SIGTERM');
      await member.ended;

      await member.start();
      expect(await member.order(resume({ clusterId: 'abc' }))).toMatchObject({ problem: 'data-foreign' });
      expect(await member.status()).toMatchObject({ phase: 'failed', dataProblem: 'data-foreign' });
      member.signal('SIGTERM');
      await member.ended;

      await member.start({ launch: { volume: { path: 'volume', id: 'volume-2' } } });
      expect(await member.status()).toMatchObject({
        phase: 'failed',
        dataProblem: 'data-foreign',
        identity: null,
      });
      member.signal('SIGTERM');
      await member.ended;

      await member.start();
      const floor = { term: before.floor?.term ?? '0', index: '999999' };
      expect(await member.order(resume({ floor }))).toMatchObject({ problem: 'data-rolled-back' });
      expect(await member.status()).toMatchObject({ phase: 'failed', dataProblem: 'data-rolled-back' });
      member.signal('SIGTERM');
      await member.ended;

      await rm(join(member.volumePath, 'epoch-1', 'data', 'member', 'wal'), { recursive: true });
      await member.start();
      expect(await member.status()).toMatchObject({ phase: 'failed', dataProblem: 'data-missing' });
      expect(await member.order(resume())).toMatchObject({ problem: 'data-missing' });
      member.signal('SIGTERM');
      await member.ended;

      await rm(member.volumePath, { recursive: true });
      await member.start();
      expect(await member.status()).toMatchObject({ phase: 'failed', dataProblem: 'volume-missing' });
      expect(await member.order(resume())).toMatchObject({ problem: 'volume-missing' });
    });

    test('a data directory that vanishes under a running etcd is not begun anew', async () => {
      await member.start();
      const before = await member.bootstrap();
      await rm(join(member.volumePath, 'epoch-1', 'data'), { recursive: true });
      process.kill(before.etcd?.pid ?? 0, 'SIGKILL');
      const after = await member.statusWhere('it gives up', ({ phase }) => phase === 'failed');
      expect(after).toMatchObject({ dataProblem: 'data-missing', probe: null });
    });

    describe('with its log on a volume of its own', () => {
      const launch = { wal: { path: 'wal', id: 'volume-1-wal' } };
      const stop = async () => {
        member.signal('SIGTERM');
        await member.ended;
      };

      test('the log lies there, and it resumes on both', async () => {
        await member.start({ launch });
        const before = await member.bootstrap();
        const log = join(member.walPath, 'epoch-1', 'wal');
        expect((await readdir(log)).some((name) => name.endsWith('.wal'))).toBe(true);
        expect(await readdir(join(member.volumePath, 'epoch-1', 'data', 'member'))).toEqual(['snap']);
        await stop();
        await member.start({ launch });
        expect(await member.order(resume())).toMatchObject({ outcome: 'done' });
        const after = await member.statusWhere('it serves again', ({ probe }) => probe?.leaderId != null);
        expect(after.probe?.memberId).toBe(before.probe?.memberId);
      });

      test('a log that is blank, another’s, older or gone is never started on beside an old database', async () => {
        await member.start({ launch });
        await member.bootstrap();
        await stop();
        const refused = async (dataProblem: string, changes: Partial<Launch> = {}) => {
          await member.start({ launch: { ...launch, ...changes } });
          expect(await member.order(resume())).toMatchObject({ outcome: 'refused' });
          expect(await member.status()).toMatchObject({ phase: 'failed', dataProblem });
          await stop();
        };
        await refused('data-foreign', { wal: { path: 'wal', id: 'volume-2-wal' } });
        await refused('data-foreign', { wal: undefined });
        const mark = join(member.walPath, 'epoch-1', 'log.json');
        const text = await readFile(mark, 'utf8');
        await writeFile(mark, text.replace(TOKEN, 'token-0'));
        await refused('data-missing');
        await writeFile(mark, text);
        const kept = `${member.walPath}-kept`;
        await rename(member.walPath, kept);
        await refused('volume-missing');
        await mkdir(member.walPath);
        await refused('data-missing');
        await rm(member.walPath, { recursive: true });
        await rename(kept, member.walPath);
        await rm(join(member.volumePath, 'epoch-1', 'data', 'member'), { recursive: true });
        await refused('corrupt');
      });
    });

    test('a directory of the sandbox is no volume, unless the data is to lie there', async () => {
      await mkdir(join(member.sandbox, 'plain'));
      const volume = { path: 'plain', id: 'volume-1' };
      await member.start({ launch: { volume } });
      expect(await member.status()).toMatchObject({ phase: 'failed', dataProblem: 'volume-missing' });
      member.signal('SIGTERM');
      await member.ended;
      await member.start({ launch: { volume: { ...volume, path: 'unmade' }, storage: 'sandbox' } });
      await member.bootstrap();
      expect(await readdir(join(member.sandbox, 'unmade'))).toContain('epoch-1');
    });

    test('a successor on the same machine lets the old member of its slot live', async () => {
      await member.start();
      const before = await member.bootstrap();
      const successor = await createSupervisedMember(binary.path);
      try {
        await successor.start({ launch: { ...ELSEWHERE, slot: member.launch.slot } });
        await successor.order({ kind: 'prepare', args: { token: TOKEN } });
        expect((await successor.status()).phase).toBe('prepared');
        expect(await member.status()).toMatchObject({
          phase: 'running',
          etcd: { pid: before.etcd?.pid, restarts: 0 },
        });
      } finally {
        await successor.close();
      }
    });

    test('a member that the cluster removed is never started again', async () => {
      await member.start();
      const { identity } = await member.bootstrap();
      const founders = [identity?.memberId ?? ''];
      const other = await createSupervisedMember(binary.path);
      try {
        await other.start({ launch: ELSEWHERE });
        const peerUrl = `http://127.0.0.1:${other.launch.ports.peer}`;
        const added = await until('the learner is added', 20_000, async () => {
          const receipt = await member.order({ kind: 'member-add', args: { peerUrl, voters: founders } });
          return receipt.outcome === 'done' ? receipt : null;
        });
        expect(
          (await member.order({ kind: 'member-add', args: { peerUrl, voters: founders } })).memberId,
        ).toBe(added.memberId);
        const memberId = added.memberId ?? '';
        await other.order({ kind: 'prepare', args: { token: TOKEN } });
        const joined = await other.order({
          ...resume({
            mode: 'join',
            clusterId: identity?.clusterId ?? null,
            memberId,
            initialCluster: [
              { name: 'etcd-0', peerUrl: `http://127.0.0.1:${member.launch.ports.peer}` },
              { name: 'etcd-1', peerUrl },
            ],
          }),
        } as OrderBody);
        expect(joined).toMatchObject({ outcome: 'done' });
        const learner = await other.statusWhere('the learner serves', ({ probe }) => probe !== null, 20_000);
        expect(learner.probe).toMatchObject({ isLearner: true, memberId, confirmedMembers: null });
        await until('it is promoted', 20_000, async () => {
          const receipt = await member.order({
            kind: 'member-promote',
            args: { memberId, voters: founders },
          });
          return receipt.outcome === 'done';
        });
        expect(
          await member.order({ kind: 'member-promote', args: { memberId, voters: founders } }),
        ).toMatchObject({
          outcome: 'done',
        });
        await other.statusWhere('it is a voter', ({ probe }) => probe?.isLearner === false);
        await until('it is removed', 20_000, async () => {
          const receipt = await member.order({
            kind: 'member-remove',
            args: { memberId, voters: [...founders, memberId] },
          });
          return receipt.outcome === 'done';
        });
        const removed = await other.statusWhere('it has ended', ({ phase }) => phase === 'removed');
        // 0, or 2 where etcd trips over its own end; either way its log said so before.
        expect(removed.etcd?.lastExit?.code).toBeOneOf([0, 2]);
        expect(await other.order(resume())).toMatchObject({ outcome: 'refused', problem: 'removed' });
        other.signal('SIGTERM');
        await other.ended;
        await other.start({ launch: ELSEWHERE });
        expect((await other.status()).phase).toBe('removed');
        expect(await other.order(resume())).toMatchObject({ problem: 'removed' });
        expect(
          await member.order({ kind: 'member-remove', args: { memberId, voters: [...founders, memberId] } }),
        ).toMatchObject({
          outcome: 'done',
        });
      } finally {
        await other.close();
      }
    });

    test('what keeps it from starting at all is said, with an exit code', async () => {
      expect(await member.startAndFail({ launch: { etcdBinary: '/nowhere/etcd' } })).toMatchObject({
        code: 7,
        stderr: expect.stringContaining('/nowhere/etcd'),
      });
      await writeFile(join(member.sandbox, 'etcd'), '#!/bin/sh\necho "etcd Version: 3.5.1"\n', {
        mode: 0o755,
      });
      expect(await member.startAndFail({ launch: { etcdBinary: './etcd' } })).toMatchObject({
        code: 7,
        stderr: expect.stringContaining('13766'),
      });
      expect(await member.startAndFail({ env: { ETCD_MESOS_LAUNCH: '{' } })).toMatchObject({ code: 2 });
      expect(await member.startAndFail({ env: { PATH: '/nowhere' } })).toMatchObject({
        code: 7,
        stderr: expect.stringContaining('util-linux'),
      });
      const server = createServer();
      await new Promise<void>((resolve) =>
        server.listen(member.launch.ports.supervisor, '127.0.0.1', resolve),
      );
      try {
        expect(await member.startAndFail()).toMatchObject({
          code: 4,
          stderr: expect.stringContaining(`pid ${process.pid}`),
        });
      } finally {
        await new Promise((resolve) => server.close(resolve));
      }
    });
  },
);
