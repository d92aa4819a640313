import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { lacksZooKeeper } from '../../needs.ts';
import { until } from '../../wait.ts';
import { startZooKeeper } from '../../zookeeper-server.ts';
import { connectTo } from '../zookeeper/real.ts';
import { pausedElection } from './paused-election.ts';

const SESSION_TIMEOUT_MS = 4_000;

/** When it acted. */
function actsIn(output: string): number[] {
  return [...output.matchAll(/^act (\d+)$/gm)].map(([, when]) => Number(when));
}

it.skipIf(lacksZooKeeper())('a leader that was stopped does nothing once another leads', async () => {
  const server = await startZooKeeper();
  const script = join(import.meta.dirname, 'leader-process.ts');
  const child = spawn(process.execPath, [script, String(server.port), String(SESSION_TIMEOUT_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const zooKeeper = connectTo([server.port], { sessionTimeoutMs: SESSION_TIMEOUT_MS });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  try {
    await until('it leads', 20_000, () => output.includes('led\n'));
    const election = pausedElection(zooKeeper, 'http://127.0.0.1:2');
    const standing = election.lead(new AbortController().signal);
    await until('the other stands by', 20_000, () => election.leaderUrl() === 'http://127.0.0.1:1');
    await until('it acts', 20_000, () => actsIn(output).length > 10);
    child.kill('SIGSTOP');
    await standing;
    const ledMs = Number(process.hrtime.bigint() / 1_000_000n);
    child.kill('SIGCONT');
    await until('it knows', 20_000, () => output.endsWith('over\n'));
    expect(Math.max(...actsIn(output))).toBeLessThan(ledMs);
  } finally {
    child.kill('SIGKILL');
    await zooKeeper.close();
    await server.dispose();
  }
});
