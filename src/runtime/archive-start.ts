import path from 'node:path';
import type { Archive } from '../backup/archive.ts';
import { openBackend } from '../backup/backend/backend.ts';
import { hashKv } from '../backup/backend/hash-kv.ts';
import { listKeys } from '../backup/backend/history.ts';
import type { RestoreProgress } from '../backup/restore.ts';
import type { EtcdClient } from '../etcd/port.ts';
import { restoreTo } from './archive-restore.ts';
import { createSystemClock } from './clock.ts';
import { withScratch } from './draft-files.ts';
import { type EtcdProgram, findEtcdProgram } from './etcd-program.ts';
import { openLocalFile } from './local-file.ts';
import { PRIVATE_MEMBER, startPrivateEtcd } from './private-etcd.ts';
import { findRestoreProgram, type RestoreProgram } from './restore-program.ts';

/** What came of starting an etcd on what an archive has of the newest revision. */
export interface StartCheck {
  readonly revision: string;
  /** Of the etcd that was started. */
  readonly etcdVersion: string;
  readonly etcd: string;
  /** HashKV at the revision, as that etcd computed it. */
  readonly hash: number;
  readonly keys: number;
  /** Empty: it has what was archived. */
  readonly problems: readonly string[];
}

/** What a start needs: looked for before hours of other work. */
export interface StartPrograms {
  readonly etcd: EtcdProgram;
  readonly restore: RestoreProgram;
}

/**
 * Rejects with an `EtcdBinaryError` where one is not there, or may not be run.
 * @param given paths or names in PATH; `null`: the usual ones.
 */
export async function findStartPrograms(given: {
  readonly etcd: string | null;
  readonly etcdutl: string | null;
}): Promise<StartPrograms> {
  return {
    etcd: await findEtcdProgram(given.etcd ?? 'etcd', '--etcd'),
    restore: await findRestoreProgram(given.etcdutl),
  };
}

/** Keys that are asked for at once. */
const PAGE_KEYS = 10_000;
const EVERYTHING = new Uint8Array([0]);

/**
 * Restores the newest revision into a directory below `within`, starts a private etcd there, compares its HashKV and
 * the number of its keys with what the file has, and removes all of it.
 */
export async function startNewest(
  archive: Archive,
  { etcd: program, restore }: StartPrograms,
  options: {
    /** `null`: the system's directory for what is temporary. */
    readonly within: string | null;
    readonly onProgress: (progress: RestoreProgress) => void;
    readonly signal: AbortSignal;
  },
): Promise<StartCheck> {
  const { within, onProgress, signal } = options;
  return await withScratch(within, async (scratch) => {
    const directory = path.join(scratch, 'data');
    const { revision } = await restoreTo(
      {
        archive,
        target: { kind: 'head' },
        epoch: null,
        raiseBy: null,
        // What disagrees was told by the verification that came before.
        acceptsMismatch: true,
        proofsMax: null,
        method: 'splice',
        programs: { etcdutl: restore.path, etcd: program.path },
        output: {
          kind: 'data-directory',
          directory,
          name: PRIVATE_MEMBER.name,
          initialCluster: `${PRIVATE_MEMBER.name}=${PRIVATE_MEMBER.peerUrl}`,
          token: 'private',
          peerUrls: PRIVATE_MEMBER.peerUrl,
        },
      },
      { onProgress, signal },
    );
    const expected = await expectedOf(path.join(directory, 'member', 'snap', 'db'));
    const etcd = await startPrivateEtcd(program, directory, { clock: createSystemClock(), signal });
    try {
      const { hash, compactRevision } = await etcd.client.hashKv(revision, signal);
      const keys = await countKeys(etcd.client, signal);
      const problems = [
        ...(hash === expected.hash
          ? []
          : [
              `its hash at revision ${revision}, compacted at ${compactRevision}, is ${hash}, not ${expected.hash}`,
            ]),
        ...(keys === expected.keys ? [] : [`it has ${keys} keys, not ${expected.keys}`]),
      ];
      return { revision, etcdVersion: program.version, etcd: program.path, hash, keys, problems };
    } finally {
      await etcd.stop();
    }
  });
}

async function expectedOf(file: string): Promise<{ hash: number; keys: number }> {
  const database = await openLocalFile(file);
  try {
    const backend = await openBackend(database);
    const { hash } = await hashKv(backend);
    return { hash, keys: (await listKeys(backend, { from: new Uint8Array() })).length };
  } finally {
    await database.close();
  }
}

async function countKeys(client: EtcdClient, signal: AbortSignal): Promise<number> {
  let count = 0;
  for (let from: Uint8Array = EVERYTHING; ; ) {
    const { keys, more } = await client.keySizes(from, PAGE_KEYS, signal);
    count += keys.length;
    const last = keys.at(-1);
    if (!more || last === undefined) return count;
    // The key right after it.
    from = Buffer.concat([last.key, EVERYTHING]);
  }
}
