import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type LocalCluster, startLocalCluster } from '../../src/local/local-cluster.ts';
import type { PublishedView } from '../../src/protocol/view.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { runCli } from '../cli/run-cli.ts';
import { etcdBinaries } from '../real-etcd/binaries.ts';
import { turnAuthenticationOff, turnAuthenticationOn } from '../real-etcd/users.ts';
import { clock, until } from '../wait.ts';
import { etcdProcesses, leaderId, readRecord, votersOf } from './etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from './scheduler-process.ts';
import { smallAgents } from './small-agents.ts';

/** What an operator meets who turns etcd's own authentication on, and off again. */

const ENTRY = join(import.meta.dirname, '../../src/cli/main.ts');
/** Longer than names outlive a member that does not serve. */
const WATCHED_MS = 20_000;
const PHASE_MS_MAX = 90_000;

describe.for(etcdBinaries().map((binary) => [binary.version.text, binary] as const))(
  'etcd %s',
  ([, binary]) => {
    let directory = '';
    let cluster: LocalCluster;
    let scheduler: SchedulerProcess;
    const http = createHttpTransport();
    beforeEach(async () => {
      directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-users-'));
      cluster = await startLocalCluster(
        {
          directory: join(directory, 'mesos'),
          agents: smallAgents(['a.example', 'b.example', 'c.example', 'd.example']),
          allocationIntervalMs: 100,
        },
        {
          program: [process.execPath, ENTRY],
          environment: { ...process.env, PATH: `${dirname(binary.path)}:${process.env['PATH'] ?? ''}` },
          clock,
          random: createSystemRandom(),
          ids: createSystemIds(),
          http,
        },
      );
      start();
    });
    afterEach(async () => {
      await scheduler.stop();
      await cluster.close();
      await http.close();
      rmSync(directory, { recursive: true, force: true });
    });

    function start(): void {
      scheduler = startScheduler({
        masterUrl: cluster.masterUrl,
        directory: join(directory, 'scheduler'),
        args: [
          ...['--artifact', 'checkout', '--cpus', '0.2', '--mem', '256'],
          ...['--disk', '1024', '--quota-backend-bytes', '100MiB', '--archive', join(directory, 'archive')],
        ],
        environment: { PATH: `${dirname(binary.path)}:${process.env['PATH'] ?? ''}` },
      });
    }
    const record = () => readRecord(stateOf(join(directory, 'scheduler')));
    const whole = async (): Promise<PublishedView> =>
      await until('a healthy cluster with its names', PHASE_MS_MAX, async () => {
        const view = await scheduler.view();
        const named = view.members.every(({ nameTask }) => nameTask?.mesosState === 'TASK_RUNNING');
        const isWell = view.health.state === 'healthy' && view.blocked.length === 0;
        return isWell && named && view.archive?.state === 'following' ? view : null;
      });
    /** What must not change. */
    const kept = ({ endpoints, members }: PublishedView) => ({
      endpoints,
      members: members.map(({ slot, seat, task, nameTask, restarts }) => ({
        slot,
        seat,
        task,
        nameTask,
        restarts,
      })),
    });
    const cli = async (...words: readonly string[]) =>
      await runCli([...words, '--scheduler', scheduler.apiUrl() ?? ''], {}, null, PHASE_MS_MAX);

    test('members that ask for a user stay as they are and are told of, until they ask no more', async () => {
      const before = await whole();
      const voters = await votersOf(record());
      const [url = ''] = before.endpoints.client;
      await turnAuthenticationOn(url);

      // Whether it tells how it is all the same is a matter of its version.
      const isSilent = await leaderId(url).then(
        () => false,
        () => true,
      );
      const allSaySo = async (): Promise<boolean> => {
        const { blocked, health, members } = await scheduler.view();
        const reason = blocked.find(({ code }) => code === 'needs-user')?.message ?? '';
        const told = members.every(({ revision }) => (revision === null) === isSilent);
        const state = isSilent ? 'needs-user' : 'healthy';
        const isWell = health.state === state && health.healthyVoters === 3;
        return reason.includes('told by etcd-0, etcd-1, etcd-2') && told && isWell;
      };
      await until('all say so', 30_000, allSaySo);
      const untilMs = clock.monotonicMs() + WATCHED_MS;
      for (; clock.monotonicMs() < untilMs; await clock.sleep(100)) {
        const view = await scheduler.view();
        expect(kept(view)).toEqual(kept(before));
        expect(view.counters.quorumLosses).toBe(0);
        expect(view.blocked.map(({ code }) => code)).not.toContain('no-quorum');
      }
      await until('all say so still', 30_000, allSaySo);
      const health = await fetch(`${scheduler.apiUrl() ?? ''}/v1/health`);
      expect([health.status, await health.text()]).toEqual([200, expect.stringContaining('auth disable')]);
      for (const words of [['pod', 'replace', 'etcd-1'], ['scale', '5'], ['defragment']]) {
        const { code, stdout, stderr } = await cli(...words);
        expect([code, stdout + stderr]).toEqual([1, expect.stringContaining('etcdctl auth disable')]);
      }

      // That takes nobody's consent.
      process.kill(etcdProcesses(record().cluster)[0]?.pid ?? 0, 'SIGKILL');
      await until('an etcd that ended is started again', 30_000, async () => {
        const { members, health } = await scheduler.view();
        const restarts = members.reduce((sum, member) => sum + member.restarts, 0);
        return restarts === 1 && health.healthyVoters === 3;
      });

      await scheduler.kill();
      start();
      await until('the next scheduler says the same', 30_000, async () => {
        const { archive, blocked, counters, endpoints, health } = await scheduler.view();
        expect(endpoints).toEqual(before.endpoints);
        expect(counters.quorumLosses).toBe(0);
        const isUnfollowed = archive?.problem?.includes('authentication is on') === true;
        return (
          isUnfollowed && health.healthyVoters === 3 && blocked.some(({ code }) => code === 'needs-user')
        );
      });

      await turnAuthenticationOff(url);
      const after = await whole();
      expect(kept(after)).toMatchObject({
        ...kept(before),
        members: before.members.map(({ task }) => ({ task })),
      });
      expect([...(await votersOf(record()))]).toEqual([...voters]);
    });
  },
);
