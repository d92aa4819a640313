import { openDirectoryArchiveStore } from '../../../src/runtime/directory-archive-store.ts';

/*
 * Puts objects into the directory and adds to one until it is killed, and says what is durable, a line each:
 *
 *     node directory-writer.ts <directory> <life>
 */
const [, , root = '', life = ''] = process.argv;
const signal = new AbortController().signal;
const store = await openDirectoryArchiveStore(root);
let grownBytes = 4;
const grown = await store.growing?.create(`life-${life}/grown`, Buffer.from('head'), signal);
process.stdout.write(`grown life-${life}/grown ${grownBytes}\n`);
for (let at = 0; ; at += 1) {
  const key = `life-${life}/${at % 2 === 0 ? `new-${at}` : 'same'}`;
  await store.put(key, Buffer.alloc(300_000, at % 251), { ifAbsent: at % 2 === 0, signal });
  process.stdout.write(`put ${key} 300000\n`);
  await grown?.append(Buffer.alloc(1000, at % 251));
  grownBytes += 1000;
  process.stdout.write(`grown life-${life}/grown ${grownBytes}\n`);
}
