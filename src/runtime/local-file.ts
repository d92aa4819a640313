import { type FileHandle, open } from 'node:fs/promises';
import type { ReadableFile, WritableFile } from '../backup/bolt/file-port.ts';

/** A file of this machine, held open until it is closed. */
export interface LocalFile extends ReadableFile, WritableFile {
  /** What was written is on the disk when this resolves; its name may not be before its directory is synced. */
  sync(): Promise<void>;
  close(): Promise<void>;
}

/** For reading alone. Rejects with node's error where there is none. */
export async function openLocalFile(path: string): Promise<LocalFile> {
  const handle = await open(path, 'r');
  return overHandle(handle, (await handle.stat()).size);
}

/** A new file, readable by its owner alone. Rejects with node's error where one of this name is there. */
export async function createLocalFile(path: string): Promise<LocalFile> {
  return overHandle(await open(path, 'wx+', 0o600), 0);
}

function overHandle(handle: FileHandle, sizeBytesAtFirst: number): LocalFile {
  let sizeBytes = sizeBytesAtFirst;
  return {
    get sizeBytes() {
      return sizeBytes;
    },
    readAt: async (target, offset) => {
      let done = 0;
      while (done < target.length) {
        const { bytesRead } = await handle.read(target, done, target.length - done, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done;
    },
    writeAt: async (bytes, offset) => {
      for (let done = 0; done < bytes.length; ) {
        done += (await handle.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }
      sizeBytes = Math.max(sizeBytes, offset + bytes.length);
    },
    sync: async () => await handle.sync(),
    close: async () => await handle.close(),
  };
}
