import { openBackend } from '../src/backup/backend/backend.ts';
import { checkedDatabase } from '../src/backup/backend/snapshot-file.ts';
import { splice } from '../src/backup/backend/splice.ts';
import { createLocalFile, openLocalFile } from '../src/runtime/local-file.ts';
import { batchesAfter } from './backend-data.ts';

/*
 * node splice-run.ts FULL TARGET EVENTS: checks the full, splices that many events into it, syncs the result, and
 * prints what it took. A process of its own, so that its memory is that of the splice.
 */
export interface SpliceRun {
  readonly seconds: number;
  readonly peakMb: number;
}

const [fullPath = '', targetPath = '', events = '0'] = process.argv.slice(2);
const startedMs = performance.now();
const fullFile = await openLocalFile(fullPath);
const full = await openBackend(await checkedDatabase(fullFile));
const target = await createLocalFile(targetPath);
await splice(target, { full, batches: batchesAfter(full.revision, Number(events)), revision: null });
await target.sync();
const run: SpliceRun = {
  seconds: (performance.now() - startedMs) / 1000,
  peakMb: (process.resourceUsage().maxRSS * 1024) / 1e6,
};
process.stdout.write(JSON.stringify(run));
await target.close();
await fullFile.close();
