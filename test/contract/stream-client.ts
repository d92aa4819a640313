import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openBackend } from '../../src/backup/backend/backend.ts';
import { createWatchAssembly } from '../../src/backup/watch-assembly.ts';
import type { StreamClient, WatchAnswer } from '../../src/etcd/port.ts';
import { createMemoryFile } from '../backup/memory-file.ts';
import { codeOf } from './etcd-client.ts';

/** A member that nobody else writes to, and what a test does to it by another way than the client. */
export interface StreamSubject {
  connect(): StreamClient;
  /** Writes one revision. */
  write(): Promise<void>;
  compact(revision: bigint): Promise<void>;
  /** A lease that the member has. */
  grant(): Promise<{ readonly id: bigint; readonly ttlSeconds: bigint }>;
  /** Changes a user. */
  changeUsers(): Promise<void>;
  /** The member tells its auth revision. */
  readonly tellsAuth: boolean;
  close(): Promise<void>;
}

/** Of no lease. */
const GONE_LEASE = 8_000n;
const within = (ms: number) => AbortSignal.timeout(ms);

/** What every implementation of `StreamClient` keeps, and the etcd that it asks. */
export function streamClientContract(start: () => Promise<StreamSubject>): void {
  let subject: StreamSubject;
  let client: StreamClient;
  beforeAll(async () => {
    subject = await start();
    client = subject.connect();
    for (let at = 0; at < 20; at += 1) await subject.write();
  });
  afterAll(async () => {
    client.close();
    await subject.close();
  });
  const revisionNow = async (): Promise<bigint> => BigInt((await client.status(within(5000))).revision);
  /** The revisions that a watch tells, from one to another, each checked to be the next. */
  const told = async (from: bigint, to: bigint): Promise<readonly bigint[]> => {
    const { clusterId } = await client.status(within(5000));
    const assembly = createWatchAssembly(clusterId, from);
    const revisions: bigint[] = [];
    for await (const answer of client.watchAll(from, within(10_000))) {
      const step = assembly.take(answer);
      expect(step.ending).toBeNull();
      revisions.push(...step.revisions.map(({ revision }) => revision));
      if (assembly.next > to) break;
    }
    return revisions;
  };

  test('a watch says first that it is there, then all from its revision on, then what comes', async () => {
    const last = await revisionNow();
    const answers: WatchAnswer[] = [];
    for await (const answer of client.watchAll(last - 5n, within(10_000))) {
      answers.push(answer);
      if (answer.events.length > 0) break;
    }
    const { clusterId, memberId } = await client.status(within(5000));
    expect(answers[0]).toMatchObject({ created: true, cancelled: false, events: [], clusterId, memberId });
    const upTo = last + 3n;
    const telling = told(last - 5n, upTo);
    for (let at = 0; at < 3; at += 1) await subject.write();
    expect(await telling).toEqual(Array.from({ length: 9 }, (_, at) => last - 5n + BigInt(at)));
  });

  test('a watch from a revision that is yet to come tells nothing before it is there', async () => {
    const last = await revisionNow();
    const telling = told(last + 2n, last + 3n);
    for (let at = 0; at < 3; at += 1) await subject.write();
    expect(await telling).toEqual([last + 2n, last + 3n]);
  });

  test('what is open ends as aborted, by its signal or as the client is closed; what is left disturbs nobody', async () => {
    const own = subject.connect();
    const giveUp = new AbortController();
    const last = await revisionNow();
    const watches = [giveUp.signal, within(10_000)].map((signal) =>
      own.watchAll(last + 1n, signal)[Symbol.asyncIterator](),
    );
    for (const watch of watches) expect((await watch.next()).value).toMatchObject({ created: true });
    const [first, second] = watches.map(async (watch) => await codeOf(watch.next()));
    giveUp.abort();
    expect(await first).toBe('aborted');
    expect((await own.status(within(5000))).revision).toBe(String(last));
    own.close();
    expect(await second).toBe('aborted');
    expect(await codeOf(own.status(within(5000)))).toBe('aborted');
    expect(await codeOf(own.snapshot(within(5000))[Symbol.asyncIterator]().next())).toBe('aborted');
    expect(await codeOf(client.hashKv('0', AbortSignal.abort()))).toBe('aborted');
    expect(await codeOf(client.authRevision(AbortSignal.abort()))).toBe('aborted');
  });

  test('a snapshot ends with the hash of all before it, and is no older than what was told before', async () => {
    const last = await revisionNow();
    const pieces: Uint8Array[] = [];
    for await (const piece of client.snapshot(within(10_000))) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    const data = bytes.subarray(0, -32);
    expect(createHash('sha256').update(data).digest()).toEqual(bytes.subarray(-32));
    expect((await openBackend(createMemoryFile(data))).revision).toBe(last);
  });

  test('a lease tells what it was granted for, and one that is none nothing', async () => {
    const { id, ttlSeconds } = await subject.grant();
    expect(await client.leaseTtl(id, within(5000))).toBe(ttlSeconds);
    expect(await client.leaseTtl(GONE_LEASE, within(5000))).toBeNull();
  });

  test('a change of users raises the auth revision, where it is told; a snapshot has it', async () => {
    const before = await client.authRevision(within(5000));
    await subject.changeUsers();
    const after = await client.authRevision(within(5000));
    if (!subject.tellsAuth) {
      expect([before, after]).toEqual([null, null]);
      return;
    }
    expect(after).toBeGreaterThan(before ?? 0n);
    const pieces: Uint8Array[] = [];
    for await (const piece of client.snapshot(within(10_000))) pieces.push(piece);
    const { authRevision } = await openBackend(createMemoryFile(Buffer.concat(pieces).subarray(0, -32)));
    expect(authRevision).toBe(after);
  });

  test('a hash is of a revision that is there; what is compacted is not watched any more', async () => {
    const last = await revisionNow();
    const hash = await client.hashKv(String(last), within(5000));
    expect(hash).toEqual(await client.hashKv(String(last), within(5000)));
    expect(hash.compactRevision).toBe('0');
    expect(await codeOf(client.hashKv(String(last + 1n), within(5000)))).toBe('future-revision');
    const compacted = last - 4n;
    await subject.compact(compacted);
    expect((await client.hashKv(String(last), within(5000))).compactRevision).toBe(String(compacted));
    expect(await codeOf(client.hashKv(String(compacted - 1n), within(5000)))).toBe('compacted');
    const answers: WatchAnswer[] = [];
    for await (const answer of client.watchAll(compacted - 1n, within(5000))) answers.push(answer);
    expect(answers.at(-1)).toMatchObject({ cancelled: true, compactRevision: compacted });
    expect(await told(compacted + 1n, last)).toEqual([last - 3n, last - 2n, last - 1n, last]);
    // Up to the present: then only of that one is there a hash. From 3.5 on it may be the one from before.
    await subject.compact(last);
    const { compactRevision } = await client.hashKv(String(last), within(5000));
    expect([String(compacted), String(last)]).toContain(compactRevision);
  });
}
