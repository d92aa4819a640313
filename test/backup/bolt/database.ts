import { type BoltBucket, type BoltDatabase, openBolt } from '../../../src/backup/bolt/reader.ts';
import { BoltWriter } from '../../../src/backup/bolt/writer.ts';
import { createMemoryFile, type MemoryFile } from '../memory-file.ts';

/** Buckets by name, each its pairs in order of their keys. */
export type Content = ReadonlyMap<string, readonly (readonly [key: Buffer, value: Buffer])[]>;

export async function writeDatabase(content: Content, pageSizeBytes = 4096): Promise<MemoryFile> {
  const file = createMemoryFile();
  const writer = new BoltWriter(file, pageSizeBytes);
  for (const [name, pairs] of content) {
    writer.begin(Buffer.from(name));
    for (const [key, value] of pairs) {
      writer.append(key, value);
      await writer.drain();
    }
  }
  await writer.finish();
  return file;
}

/** Everything that can be read, through every door of the reader. */
export async function readDatabase(database: BoltDatabase): Promise<Content> {
  const content = new Map<string, [Buffer, Buffer][]>();
  for await (const leaf of database.root.leaves()) {
    for (let index = 0; index < leaf.count; index += 1) {
      if (!leaf.isBucket(index)) continue;
      const name = leaf.key(index);
      const bucket = await database.root.bucket(name);
      if (bucket === null) throw new Error(`bucket ${name} is listed and not found`);
      content.set(name.toString(), await pairsOf(bucket));
    }
  }
  return content;
}

export async function pairsOf(bucket: BoltBucket, from?: Uint8Array): Promise<[Buffer, Buffer][]> {
  const pairs: [Buffer, Buffer][] = [];
  for await (const leaf of bucket.leaves(from)) {
    for (let index = 0; index < leaf.count; index += 1) pairs.push([leaf.key(index), leaf.value(index)]);
  }
  return pairs;
}

export async function openBytes(bytes: Uint8Array): Promise<BoltDatabase> {
  return await openBolt(createMemoryFile(bytes));
}
