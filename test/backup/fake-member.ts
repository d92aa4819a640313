import { createHash } from 'node:crypto';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { EtcdError, type KvHash, type StreamClient, type WatchAnswer } from '../../src/etcd/port.ts';
import { sampleRevision } from './sample-log.ts';
import { smallestBackend } from './smallest-backend.ts';
import { watchAnswer } from './watch-answer.ts';

/** The part of an etcd that an archive sees, which does what a test tells it. */
export interface FakeMember {
  /** Writes so many revisions more. */
  write(count: number): void;
  /** Forgets what is before this revision. */
  compact(revision: bigint): void;
  readonly revision: bigint;
  /** Every open watch breaks. */
  breakAll(): void;
  /** What a watch is told instead of an answer, or in its place; by default the answer. */
  tell: (answer: WatchAnswer) => readonly WatchAnswer[];
  connect(url: string): StreamClient;
  /** Of users and roles; `null` where the member cannot tell. */
  authRevision: bigint | null;
  /** What a snapshot is made of. */
  snapshot: () => AsyncIterable<Uint8Array>;
}

export const FAKE_CLUSTER = 'abc';

/** @param answerRevisions how many revisions one answer to a watch that catches up has. */
export function createFakeMember({ answerRevisions = 7 } = {}): FakeMember {
  const history: RevisionEvents[] = [];
  let revision = 1n;
  let compactRevision = 0n;
  const wakes = new Set<() => void>();
  let breaks = 0;

  const answer = (events: readonly Uint8Array[], more?: Partial<WatchAnswer>): WatchAnswer =>
    watchAnswer({ clusterId: FAKE_CLUSTER, memberId: 'f', revision }, events, more);

  async function* watch(start: bigint, signal: AbortSignal): AsyncGenerator<WatchAnswer, void, undefined> {
    const life = breaks;
    yield* member.tell(answer([], { created: true }));
    let next = start;
    for (;;) {
      if (signal.aborted) throw new EtcdError('aborted', 'Watch: aborted');
      if (breaks !== life) throw new EtcdError('unavailable', 'Watch: the connection broke');
      if (next < compactRevision) {
        yield answer([], { cancelled: true, compactRevision });
        return;
      }
      const some = history.filter((one) => one.revision >= next).slice(0, answerRevisions);
      const last = some.at(-1);
      if (last === undefined) {
        await new Promise<void>((resolve) => {
          wakes.add(resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
        continue;
      }
      next = last.revision + 1n;
      yield* member.tell(answer(some.flatMap(({ events }) => events)));
    }
  }
  const hashAt = (at: bigint): KvHash => {
    if (at > revision) throw new EtcdError('future-revision', 'HashKV: it is yet to come');
    if (at < compactRevision) throw new EtcdError('compacted', 'HashKV: it was compacted');
    return { hash: Number(at % 97n), compactRevision: String(compactRevision) };
  };
  const wake = (): void => {
    for (const resolve of wakes) resolve();
    wakes.clear();
  };

  const member: FakeMember = {
    write: (count) => {
      for (let left = count; left > 0; left -= 1) {
        revision += 1n;
        history.push(sampleRevision(revision));
      }
      wake();
    },
    compact: (to) => {
      compactRevision = to;
      wake();
    },
    get revision() {
      return revision;
    },
    breakAll: () => {
      breaks += 1;
      wake();
    },
    tell: (whole) => [whole],
    authRevision: 1n,
    snapshot: async function* () {
      const data = await smallestBackend(sampleRevision(revision), member.authRevision ?? 1n);
      for (let at = 0; at < data.byteLength; at += 5_000) yield data.subarray(at, at + 5_000);
      yield createHash('sha256').update(data).digest();
    },
    connect: () => {
      const closed = new AbortController();
      const own = (signal: AbortSignal): AbortSignal => AbortSignal.any([signal, closed.signal]);
      const ask = async <T>(signal: AbortSignal, answered: () => T): Promise<T> => {
        await Promise.resolve();
        if (own(signal).aborted) throw new EtcdError('aborted', 'aborted');
        return answered();
      };
      return {
        status: async (signal) =>
          await ask(signal, () => ({
            version: '3.5.30',
            clusterId: FAKE_CLUSTER,
            memberId: 'f',
            leaderId: 'f',
            isLearner: false,
            raftTerm: '2',
            raftIndex: '9',
            raftAppliedIndex: '9',
            revision: String(revision),
            dbSizeBytes: 1,
            dbSizeInUseBytes: 1,
            errors: [],
          })),
        watchAll: (start, signal) => watch(start, own(signal)),
        async *snapshot(signal) {
          await ask(signal, () => null);
          yield* member.snapshot();
        },
        leaseTtl: async (id, signal) => await ask(signal, () => (id % 8n === 0n ? null : id * 2n)),
        hashKv: async (at, signal) => await ask(signal, () => hashAt(BigInt(at))),
        authRevision: async (signal) => await ask(signal, () => member.authRevision),
        close: () => closed.abort(),
      };
    },
  };
  return member;
}
