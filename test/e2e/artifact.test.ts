import { execFile } from 'node:child_process';
import { once } from 'node:events';
import {
  createReadStream,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createKvClient } from '../../src/etcd/client.ts';
import { type LocalCluster, startLocalCluster } from '../../src/local/local-cluster.ts';
import { readPin } from '../../src/protocol/artifact-pin.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import { type BuiltArtifact, buildArtifact } from '../../src/runtime/artifact.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { createSystemIds } from '../../src/runtime/ids.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { lacks, skipWithout, whereIs } from '../needs.ts';
import { clock, until } from '../wait.ts';
import { etcdProcesses, readRecord, taskProcesses, votersOf } from './etcd-on-mesos.ts';
import { type SchedulerProcess, startScheduler, stateOf } from './scheduler-process.ts';

const ROOT = resolve(import.meta.dirname, '../..');
/** All that an agent's machine has to have: of the base system of any Linux. */
const BASE_SYSTEM = ['sh', 'sha256sum', 'tar', 'gzip', 'rm', 'setpriv'];
const LIMIT_MS = 60_000;

let top = '';
let artifact: BuiltArtifact;
let directory = '';
let cluster: LocalCluster;
let scheduler: SchedulerProcess;
let close: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  if (lacks('etcd', 'etcdctl')) return;
  await promisify(execFile)(process.execPath, [join(ROOT, 'scripts/build.ts')]);
  top = mkdtempSync(join(tmpdir(), 'etcd-mesos-artifact-'));
  artifact = await buildArtifact({ cacheDirectory: join(top, 'packed') });
});
afterAll(() => {
  if (top !== '') rmSync(top, { recursive: true, force: true });
});

beforeEach(async (context) => {
  skipWithout(context, 'etcd', 'etcdctl', ...BASE_SYSTEM);
  directory = mkdtempSync(join(top, 'trial-'));
  mkdirSync(join(directory, 'bin'));
  for (const name of BASE_SYSTEM) symlinkSync(whereIs(name) ?? '', join(directory, 'bin', name));
  const http = createHttpTransport();
  // What agents give to their tasks has neither node nor etcd, nor anything of ours.
  cluster = await startLocalCluster(
    {
      directory: join(directory, 'mesos'),
      agents: [{ hostname: 'agent-1', cpus: 1, memMb: 1024, diskMb: 4096 }],
    },
    {
      program: [process.execPath, join(ROOT, 'src/cli/main.ts')],
      environment: { PATH: join(directory, 'bin') },
      clock,
      random: createSystemRandom(),
      ids: createSystemIds(),
      http,
    },
  );
  close = [() => http.close(), () => cluster.close()];
});
afterEach(async () => {
  for (const end of close.toReversed()) await end();
});

function start(...args: readonly string[]): void {
  scheduler = startScheduler({
    masterUrl: cluster.masterUrl,
    directory,
    args: ['--cluster-size', '1', '--cpus', '0.1', '--mem', '256', '--disk', '1024', ...args],
  });
  close.push(() => scheduler.stop());
}

test('a member brings node, our code and etcd from the scheduler, and runs on them alone', async () => {
  start('--artifact-file', artifact.path);
  const record = await until('the voter', LIMIT_MS, async () => {
    await scheduler.view();
    const now = readRecord(stateOf(directory));
    return now.epoch.phase === 'formed' && (await votersOf(now)).size === 1 ? now : null;
  });
  const [seat] = record.seats;
  if (seat === undefined) throw new Error('no seat');
  const { sandbox } = cluster.tasks(0).find(({ taskId }) => taskId === seat.task) ?? { sandbox: '' };
  const supervisors = [...taskProcesses(record.cluster).values()].flat();
  const etcds = etcdProcesses(record.cluster).map(({ pid }) => pid);
  expect([...etcds, ...supervisors].map((pid) => readlinkSync(`/proc/${pid}/exe`))).toEqual([
    join(sandbox, 'etcd-mesos/bin/etcd'),
    join(sandbox, 'etcd-mesos/bin/node'),
  ]);
  expect(readdirSync(sandbox)).not.toContain('etcd-mesos.tar.gz');
  expect((await scheduler.view()).members[0]).toMatchObject({
    role: 'voter',
    healthy: true,
    etcdVersion: artifact.etcdVersion,
  });
  expect(readPin(record.seats[0]?.pinned.artifact ?? '')).toEqual({
    id: `sha256:${artifact.sha256}`,
    etcd: artifact.etcdVersion,
    source: { from: 'scheduler' },
  });

  const client = createKvClient({ url: clientUrlOf(seat) }, clock);
  close.push(async () => client.close());
  await client.put('greeting', 'hello', AbortSignal.timeout(10_000));
  const [found] = await client.range('greeting', 'greeting~', 1, AbortSignal.timeout(10_000));
  expect(found?.value).toBe('hello');
});

test('an archive that is not the one that was meant runs nothing', async () => {
  const bytes = readFileSync(artifact.path);
  // One bit, in the middle.
  const middle = bytes.byteLength >> 1;
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle);
  const tampered = join(directory, 'tampered.tar.gz');
  writeFileSync(tampered, bytes);
  const uri = await serveFile(tampered);
  start('--artifact-uri', uri, '--artifact-sha256', artifact.sha256);

  const view = await until('the reason', LIMIT_MS, async () => {
    const now = await scheduler.view();
    return now.members.some(({ mesosState }) => mesosState === 'TASK_FAILED') ? now : null;
  });
  expect(view.members[0]?.problem).toMatch(
    'TASK_FAILED: Command exited with status 9: the archive that it was to run from is not the one that was meant',
  );
  expect(view.health.healthyVoters).toBe(0);
  const record = readRecord(stateOf(directory));
  expect(etcdProcesses(record.cluster)).toEqual([]);
  const [sandbox = ''] = readdirSync(join(cluster.directory, 'agents/agent-1/sandboxes'), { recursive: true })
    .map(String)
    .filter((path) => path.endsWith('/stderr'));
  const stderr = readFileSync(join(cluster.directory, 'agents/agent-1/sandboxes', sandbox), 'utf8');
  expect(stderr).toContain('etcd-mesos.tar.gz: FAILED');
});

async function serveFile(path: string): Promise<string> {
  const server = createServer((_request, response) => void createReadStream(path).pipe(response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  close.push(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/etcd-mesos.tar.gz`;
}
