import {
  type ArchiveStore,
  ArchiveStoreError,
  assertKey,
  assertWithin,
  type ObjectContent,
  partsOf,
} from '../../src/backup/store-port.ts';

/** An archive's store whose objects a test can look at and alter. */
export interface MemoryArchiveStore extends ArchiveStore {
  readonly objects: Map<string, Buffer>;
}

/** @param grows whether it takes objects that grow, as a directory does, or only whole ones, as S3 does. */
export function createMemoryArchiveStore({ grows = true } = {}): MemoryArchiveStore {
  const objects = new Map<string, Buffer>();
  const add = (key: string, bytes: Buffer, ifAbsent: boolean): void => {
    if (ifAbsent && objects.has(key)) throw new ArchiveStoreError('exists', `${key} is there`);
    objects.set(key, bytes);
  };
  const found = (key: string): Buffer => {
    const bytes = objects.get(key);
    if (bytes === undefined) throw new ArchiveStoreError('not-found', `${key} is not there`);
    return bytes;
  };
  return {
    objects,
    place: 'memory',
    put: async (key, content, { ifAbsent, signal }) => {
      assertKey(key);
      const bytes = await gather(content, signal);
      add(key, bytes, ifAbsent);
      return { key, sizeBytes: bytes.byteLength };
    },
    async *read(key, { range, signal }) {
      assertKey(key);
      abortedBy(signal);
      await Promise.resolve();
      const bytes = found(key);
      assertWithin(key, range, bytes.byteLength);
      yield Buffer.from(
        range === undefined ? bytes : bytes.subarray(range.offset, range.offset + range.length),
      );
    },
    head: async (key, signal) => {
      assertKey(key);
      abortedBy(signal);
      const bytes = await Promise.resolve(objects.get(key));
      return bytes === undefined ? null : { key, sizeBytes: bytes.byteLength };
    },
    async *list(prefix, { after = '', signal }) {
      for (const key of [...objects.keys()].toSorted((left, right) => (left < right ? -1 : 1))) {
        abortedBy(signal);
        await Promise.resolve();
        if (objects.has(key) && key.startsWith(prefix) && key > after) yield { key };
      }
    },
    remove: async (key, signal) => {
      assertKey(key);
      abortedBy(signal);
      await Promise.resolve(objects.delete(key));
    },
    growing: !grows
      ? null
      : {
          create: async (key, first, signal) => {
            assertKey(key);
            add(key, await gather(first, signal), true);
            let isOpen = true;
            return {
              append: async (bytes) => {
                const more = await gather(bytes, signal);
                if (!isOpen) throw new ArchiveStoreError('unavailable', `${key} was closed`);
                objects.set(key, Buffer.concat([found(key), more]));
              },
              close: () => {
                isOpen = false;
                return Promise.resolve();
              },
            };
          },
        },
  };
}

async function gather(content: ObjectContent, signal: AbortSignal): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of partsOf(content)) {
    abortedBy(signal);
    parts.push(part);
  }
  abortedBy(signal);
  return Buffer.concat(parts);
}

function abortedBy(signal: AbortSignal): void {
  if (signal.aborted) throw new ArchiveStoreError('aborted', 'the archive was not waited for');
}
