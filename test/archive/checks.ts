import type { IKeyValue } from 'etcd3';
import { expect } from 'vitest';
import type { Archive } from '../../src/backup/archive.ts';
import { type EtcdBackend, openBackend } from '../../src/backup/backend/backend.ts';
import { listKeys, lookUp } from '../../src/backup/backend/history.ts';
import { checkedDatabase } from '../../src/backup/backend/snapshot-file.ts';
import { type RestoreReport, restoreArchive } from '../../src/backup/restore.ts';
import { planRestore } from '../../src/backup/restore-plan.ts';
import type { Ledger } from '../../src/drills/ledger.ts';
import { createKvClient } from '../../src/etcd/client.ts';
import { createDrafts, type LocalDraft } from '../../src/runtime/draft-files.ts';
import { createMemoryFile } from '../backup/memory-file.ts';
import { never } from '../backup/sample-log.ts';
import { type EtcdBinary, etcdBinaries, restoreProgram } from '../real-etcd/binaries.ts';
import { clock } from '../wait.ts';
import { type LoneEtcd, restoreSnapshot, startLoneEtcd } from './lone-etcd.ts';
import { type Observation, observe } from './workload.ts';

/** Those that have the program beside them that restores; says which are left out. */
export function restorableBinaries(): readonly EtcdBinary[] {
  return etcdBinaries().filter((binary) => {
    const restores = restoreProgram(binary) !== null;
    if (!restores) console.log(`left out: etcd ${binary.version.text}, which has no restore beside it`);
    return restores;
  });
}

/** An etcd of what a snapshot is restored to. */
export async function withRestored(
  binary: EtcdBinary,
  path: string,
  dataDirectory: string,
  work: (etcd: LoneEtcd) => Promise<void>,
): Promise<void> {
  await restoreSnapshot(binary, path, dataDirectory);
  const etcd = await startLoneEtcd(binary, dataDirectory);
  try {
    await work(etcd);
  } finally {
    await etcd.stop();
  }
}

/** What an etcd on this data directory lacks of all that was acknowledged. */
export async function missingFromData(
  binary: EtcdBinary,
  dataDirectory: string,
  ledger: Ledger,
): Promise<readonly string[]> {
  const etcd = await startLoneEtcd(binary, dataDirectory);
  const client = createKvClient({ url: etcd.url }, clock);
  try {
    return await ledger.missingFrom(client, never);
  } finally {
    client.close();
    await etcd.stop();
  }
}

/** What `etcd-mesos restore` makes of an archive. @param revision `null`: the newest. */
export async function restoreTo(
  archive: Archive,
  revision: bigint | null,
  directory: string,
): Promise<{ backend: EtcdBackend; report: RestoreReport; draft: LocalDraft }> {
  const target = revision === null ? { kind: 'head' as const } : { kind: 'revision' as const, revision };
  const plan = await planRestore(archive, target, { nowMs: Date.now(), signal: never });
  const drafts: LocalDraft[] = [];
  const createDraft = createDrafts(directory);
  const newFile = async (what: string) => {
    const draft = await createDraft(what);
    drafts.push(draft);
    return draft;
  };
  const { report } = await restoreArchive({ archive, plan, newFile, signal: never });
  const draft = drafts.at(-1) ?? expect.fail('no file was made');
  return { report, draft, backend: await openBackend(await checkedDatabase(draft)) };
}

/** Key by key, every field, and every value through the look-up of some. */
export async function expectSame(backend: EtcdBackend, seen: Observation): Promise<void> {
  const listed = await listKeys(backend, { from: Buffer.of() }, seen.revision);
  expect(
    listed.map(({ key, createRevision, modRevision, version, lease, valueBytes }) =>
      [key.toString('hex'), createRevision, modRevision, version, lease, valueBytes].join(' '),
    ),
  ).toEqual(
    seen.keys.map(({ key, create_revision, mod_revision, version, lease, value }) =>
      [key.toString('hex'), create_revision, mod_revision, version, lease, value.length].join(' '),
    ),
  );
  for (const { key, value } of seen.keys.filter((_, index) => index % 20 === 0)) {
    const found = await lookUp(backend, key, seen.revision);
    expect(Buffer.from(found?.value ?? expect.fail(`${key} is missing`))).toEqual(Buffer.from(value));
  }
}

export const plain = ({ revision, keys }: Observation) => ({
  revision,
  keys: keys.map((key: IKeyValue) => ({
    ...key,
    key: key.key.toString('hex'),
    value: key.value.toString('hex'),
  })),
});

/** Ids of leases with what was granted and the keys that hang on them. */
export type Leases = Readonly<Record<string, { readonly ttl: string; readonly keys: readonly string[] }>>;

export function attached(seen: Observation, granted: ReadonlyMap<bigint, bigint>): Leases {
  const byLease = Map.groupBy(seen.keys, ({ lease }) => lease);
  byLease.delete('0');
  return Object.fromEntries(
    [...byLease].map(([id, keys]) => [
      id,
      { ttl: String(granted.get(BigInt(id))), keys: keys.map(({ key }) => key.toString()).toSorted() },
    ]),
  );
}

export async function leasesOf({ theirs }: LoneEtcd, seen: Observation): Promise<Leases> {
  const ids = Object.keys(attached(seen, new Map()));
  const told = ids.map(async (ID) => {
    const { grantedTTL, keys } = await theirs.leaseClient.leaseTimeToLive({ ID, keys: true });
    return [ID, { ttl: grantedTTL, keys: keys.map(String).toSorted() }] as const;
  });
  return Object.fromEntries(await Promise.all(told));
}

/** Writes, deletes, compacts and defragments, and looks whether it has what it should. */
export async function expectGoesOn(etcd: LoneEtcd, seen: Observation): Promise<void> {
  const { theirs } = etcd;
  const written = await theirs.kv.put({ key: Buffer.from('after'), value: Buffer.from('more') });
  expect(BigInt(written.header.revision)).toBe(seen.revision + 1n);
  await theirs.kv.deleteRange({ key: Buffer.from('a/'), range_end: Buffer.from('t/2') });
  await theirs.kv.compact({ revision: String(seen.revision + 2n), physical: true });
  await theirs.maintenance.defragment();
  const now = await observe(theirs);
  const left = seen.keys.filter(
    ({ key }) => Buffer.compare(key, Buffer.from('a/')) < 0 || Buffer.compare(key, Buffer.from('t/2')) >= 0,
  );
  expect(now.keys.length).toBeLessThanOrEqual(left.length + 1);
  const snapshot = createMemoryFile(await etcd.snapshot());
  await expectSame(await openBackend(await checkedDatabase(snapshot)), now);
}
