import { createWriteStream, mkdirSync, rmSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/** Mesos's default of `--fetcher_cache_size`. */
const CACHE_BYTES_MAX = 2 * 1024 * 1024 * 1024;

/** What a URI brings, opened. */
export interface FetchSource {
  readonly stream: Readable;
  /** `null` where its server does not say. */
  readonly sizeBytes: number | null;
}

/** A file in the cache that stays there until it is released. */
export interface CachedFile {
  readonly path: string;
  release(): void;
}

export interface FetchCacheOptions {
  /** Emptied: what an earlier agent has cached is not trusted, as with Mesos. */
  readonly directory: string;
  /** Default {@link CACHE_BYTES_MAX}. */
  readonly bytesMax?: number;
}

/** What tasks have fetched with `cache: true`, kept by user and URI; bounded, the least recently used goes first. */
export interface FetchCache {
  /**
   * The file of that user and URI: what is there, what is on its way, or what `open` brings now. `null` where the
   * cache has to be passed by: the size is not known, there is no room for it, or the download failed.
   */
  acquire(
    what: { readonly user: string; readonly uri: string },
    open: () => Promise<FetchSource>,
    signal: AbortSignal,
  ): Promise<CachedFile | null>;
}

interface Entry {
  readonly key: string;
  readonly path: string;
  sizeBytes: number;
  users: number;
  readonly ready: Promise<boolean>;
}

export function createFetchCache({ directory, bytesMax = CACHE_BYTES_MAX }: FetchCacheOptions): FetchCache {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  /** The least recently used first. */
  const entries = new Map<string, Entry>();
  let files = 0;

  async function download(entry: Entry, open: () => Promise<FetchSource>, signal: AbortSignal) {
    try {
      const { stream, sizeBytes } = await open();
      if (sizeBytes === null || !(await makeRoom(sizeBytes))) {
        stream.destroy();
        return false;
      }
      entry.sizeBytes = sizeBytes;
      const file = createWriteStream(entry.path);
      await pipeline(stream, file, { signal });
      return file.bytesWritten === sizeBytes;
    } catch {
      return false;
    }
  }

  /** Files in use stay. */
  async function makeRoom(neededBytes: number): Promise<boolean> {
    const held = () => [...entries.values()].reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const entry of [...entries.values()]) {
      if (held() + neededBytes <= bytesMax) break;
      if (entry.users === 0) await drop(entry);
    }
    return held() + neededBytes <= bytesMax;
  }

  async function drop(entry: Entry): Promise<void> {
    if (entries.get(entry.key) === entry) entries.delete(entry.key);
    await rm(entry.path, { force: true });
  }

  return {
    async acquire({ user, uri }, open, signal) {
      const key = JSON.stringify([user, uri]);
      let entry = entries.get(key);
      if (entry === undefined) {
        files += 1;
        const outcome = Promise.withResolvers<boolean>();
        entry = { key, path: join(directory, String(files)), sizeBytes: 0, users: 0, ready: outcome.promise };
        entries.set(key, entry);
        entry.users += 1;
        outcome.resolve(download(entry, open, signal));
      } else {
        entries.delete(key);
        entries.set(key, entry);
        entry.users += 1;
      }
      const held = entry;
      const release = (): void => {
        held.users -= 1;
      };
      if (await held.ready) return { path: held.path, release };
      release();
      if (held.users === 0) await drop(held);
      return null;
    },
  };
}
