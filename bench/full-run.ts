import { beginEpoch, createArchive } from '../src/backup/archive.ts';
import { takeFull } from '../src/backup/full.ts';
import { createStreamClient } from '../src/etcd/stream-client.ts';
import { createSystemClock } from '../src/runtime/clock.ts';
import { type ArchivePlace, openPlace } from './archive-place.ts';

/*
 * node full-run.ts URL PLACE: takes a full of the member into a new archive, and prints what it took. PLACE is an
 * ArchivePlace as JSON. A process of its own, so that its memory is that of the full.
 */
export interface FullRun {
  readonly seconds: number;
  /** Of the processor, in this process. */
  readonly cpuSeconds: number;
  readonly peakMb: number;
  readonly sizeBytes: number;
}

const [url = '', place = ''] = process.argv.slice(2);
const never = new AbortController().signal;
const clock = createSystemClock();
const client = createStreamClient({ url }, clock);
const { clusterId } = await client.status(never);
const store = await openPlace(JSON.parse(place) as ArchivePlace, never);
const archive = await createArchive(store, { archiveId: 'bench', owner: 'bench', atMs: 0 }, never);
const epoch = await beginEpoch(archive, { epoch: 1, clusterId, parent: null, atMs: 0 }, never);
const startedMs = performance.now();
const before = process.cpuUsage();
const full = await takeFull({ archive, epoch, generation: 1, client, clock, reason: 'bench' }, never);
const { user, system } = process.cpuUsage(before);
const run: FullRun = {
  seconds: (performance.now() - startedMs) / 1000,
  cpuSeconds: (user + system) / 1e6,
  peakMb: (process.resourceUsage().maxRSS * 1024) / 1e6,
  sizeBytes: full.document.sizeBytes,
};
process.stdout.write(JSON.stringify(run));
client.close();
