import { clock } from '../../wait.ts';
import { connectTo } from '../zookeeper/real.ts';
import { pausedElection } from './paused-election.ts';

/*
 * A scheduler in small: leads, and acts every few milliseconds as long as it may.
 *
 *     leader-process.ts PORT SESSION_TIMEOUT_MS
 *
 * Writes `led`, `act <when>` for every act, and `over` when it may act no more. When is by the machine's
 * monotonic clock, milliseconds.
 */
const [port = '', sessionTimeoutMs = ''] = process.argv.slice(2);
const zooKeeper = connectTo([Number(port)], { sessionTimeoutMs: Number(sessionTimeoutMs) });
const election = pausedElection(zooKeeper, 'http://127.0.0.1:1');
const say = (line: string): void => void process.stdout.write(`${line}\n`);
const term = await election.lead(new AbortController().signal);
say('led');
while (term.holds()) {
  say(`act ${process.hrtime.bigint() / 1_000_000n}`);
  await clock.sleep(5);
}
say('over');
await zooKeeper.close();
