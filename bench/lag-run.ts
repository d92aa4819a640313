import { createStreamClient } from '../src/etcd/stream-client.ts';
import { createSystemClock } from '../src/runtime/clock.ts';
import { archiveEtcd, placeIn } from '../test/archive/archiving.ts';
import { type ArchivePlace, openPlace } from './archive-place.ts';

/*
 * node lag-run.ts URL TARGET: archives the member into a new archive, and says `<revision> <milliseconds since 1970>`
 * whenever more is durable. On SIGTERM it ends with its peak memory. TARGET is a LagTarget as JSON.
 */
export interface LagTarget {
  readonly place: ArchivePlace;
  /** How long a segment of the log is; 0: each revision is written as it comes. */
  readonly segmentMs: number;
}

const [url = '', json = ''] = process.argv.slice(2);
const { place, segmentMs } = JSON.parse(json) as LagTarget;
const over = new AbortController();
const clock = createSystemClock();
const client = createStreamClient({ url }, clock);
const { clusterId } = await client.status(over.signal);
client.close();
const store = await openPlace(place, over.signal);
const archiver = archiveEtcd(await placeIn(store, clusterId), url, { limits: { segmentMs } }, over.signal);
let said = 0n;
const saying = setInterval(() => {
  const { archivedRevision, lastFull } = archiver.status();
  // The first full, of all that earlier measurements have left, is not what is measured.
  if (archivedRevision === said || lastFull === null) return;
  said = archivedRevision;
  process.stdout.write(`${said} ${performance.timeOrigin + performance.now()}\n`);
}, 1);
process.once('SIGTERM', () => {
  clearInterval(saying);
  over.abort();
});
await archiver.ended;
process.stdout.write(`peak ${(process.resourceUsage().maxRSS * 1024) / 1e6}\n`);
