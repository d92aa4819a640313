import { createHash } from 'node:crypto';
import type { RevisionEvents } from '../../src/backup/events.ts';
import type { Clock } from '../../src/base/ports.ts';
import { EtcdError, type StreamClient, type WatchAnswer } from '../../src/etcd/port.ts';
import { encodeFields } from '../../src/etcd/protobuf.ts';
import { smallestBackend } from '../backup/smallest-backend.ts';
import { watchAnswer } from '../backup/watch-answer.ts';
import { portOf } from './etcd-command-line.ts';
import type { EtcdProcess, ModelEtcd } from './model-etcd.ts';
import type { Change } from './model-store.ts';
import type { Network } from './network.ts';

/** What an archiver asks of the etcds of a simulated world: whole stores, and all that happens to them. */
export interface ModelStreams {
  /** A client at `fromHost`, of the member whose client listener is at `url`. */
  connect(fromHost: string, url: string): StreamClient;
}

export interface ModelStreamsOptions {
  readonly clock: Clock;
  readonly network: Pick<Network, 'reachable' | 'latencyMs' | 'onChange'>;
  readonly etcd: Pick<ModelEtcd, 'connect' | 'running'>;
  /** What becomes of a snapshot that is asked for now. */
  readonly nextSnapshot: () => SnapshotFate;
}

export interface SnapshotFate {
  /** How long a member takes to send all of it. */
  readonly durationMs: number;
  /** `broken`: the connection breaks in the middle. `altered`: what arrives is not what its hash says. */
  readonly failure: 'broken' | 'altered' | null;
}

/** Revisions in one answer to a watch that catches up. */
const ANSWER_REVISIONS = 50;
/** Parts in which a snapshot is sent. */
const SNAPSHOT_PARTS = 4;
/** A member with authentication off has never counted further. */
const AUTH_REVISION = 1n;

export function createModelStreams(options: ModelStreamsOptions): ModelStreams {
  const { clock, network, etcd } = options;
  const networkWatchers = new Set<() => void>();
  network.onChange(() => {
    for (const wake of [...networkWatchers]) wake();
  });

  const connect = (fromHost: string, url: string): StreamClient => {
    const client = etcd.connect(fromHost, url);
    const closed = new AbortController();
    const { hostname: host } = new URL(url);
    const port = portOf(url);

    const reaches = (process: EtcdProcess): boolean =>
      etcd.running.has(process) &&
      process.serving &&
      network.reachable(fromHost, host) &&
      network.reachable(host, fromHost);
    const server = (): EtcdProcess => {
      for (const process of etcd.running) {
        if (process.host === host && process.commandLine.clientPort === port && reaches(process)) {
          return process;
        }
      }
      throw new EtcdError('unavailable', `${url}: connection refused`);
    };
    const assertOpen = (process: EtcdProcess, signal: AbortSignal): void => {
      if (signal.aborted) throw new EtcdError('aborted', `${url}: the call was given up`);
      if (!reaches(process)) throw new EtcdError('unavailable', `${url}: the connection broke`);
    };
    /** Resolves when there may be something to tell. */
    const stirred = async ({ onApplied, onExit }: EtcdProcess, signal: AbortSignal): Promise<void> => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const sets = [onApplied, onExit, networkWatchers];
      for (const set of sets) set.add(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
      await promise;
      for (const set of sets) set.delete(resolve);
    };

    async function* watch(start: bigint, signal: AbortSignal): AsyncGenerator<WatchAnswer> {
      await clock.sleep(2 * network.latencyMs(fromHost, host));
      const process = server();
      const { store } = process.data;
      let next = start === 0n ? store.revision + 1 : Number(start);
      yield answerOf(process, [], { created: true });
      for (;;) {
        assertOpen(process, signal);
        if (process.node?.leader === null) throw new EtcdError('no-leader', `${url}: no leader`);
        if (next < store.compactRevision) {
          const compactRevision = BigInt(store.compactRevision);
          yield answerOf(process, [], { cancelled: true, compactRevision });
          return;
        }
        const [oldest] = store.changes;
        const from = next - (oldest?.revision ?? next);
        const told = store.changes.slice(from, from + ANSWER_REVISIONS);
        if (told.length === 0) {
          await stirred(process, signal);
          continue;
        }
        next += told.length;
        await clock.sleep(network.latencyMs(host, fromHost));
        assertOpen(process, signal);
        yield answerOf(
          process,
          told.flatMap((change) => eventsOf(change).events),
        );
      }
    }

    async function* snapshot(signal: AbortSignal): AsyncGenerator<Uint8Array> {
      await clock.sleep(2 * network.latencyMs(fromHost, host));
      const process = server();
      const { store } = process.data;
      const { durationMs, failure } = options.nextSnapshot();
      const newest = store.changes.at(-1) ?? { revision: store.revision, key: 'any', value: '' };
      const data = await smallestBackend(eventsOf(newest), AUTH_REVISION);
      const hash = createHash('sha256').update(data).digest();
      if (failure === 'altered') data[data.byteLength - 1] = 1 + (data.at(-1) ?? 0);
      const partBytes = Math.ceil(data.byteLength / SNAPSHOT_PARTS);
      for (let at = 0; at < data.byteLength; at += partBytes) {
        await clock.sleep(durationMs / SNAPSHOT_PARTS, signal);
        assertOpen(process, signal);
        if (failure === 'broken' && at > 0) throw new EtcdError('unavailable', `${url}: the stream broke`);
        yield data.subarray(at, at + partBytes);
      }
      yield hash;
    }

    const own = (signal: AbortSignal): AbortSignal => AbortSignal.any([signal, closed.signal]);
    return {
      status: async (signal) => await client.status(signal),
      hashKv: async (revision, signal) => await client.hashKv(revision, signal),
      watchAll: (start, signal) => watch(start, own(signal)),
      snapshot: (signal) => snapshot(own(signal)),
      leaseTtl: async () => await Promise.resolve(null),
      authRevision: async (signal) => {
        await client.confirmQuorum(signal);
        return AUTH_REVISION;
      },
      close: () => {
        closed.abort();
        client.close();
      },
    };
  };

  return { connect };
}

/** What a revision did, as etcd tells it; versions of keys are not modelled. */
export function eventsOf({ revision, key, value }: Change): RevisionEvents {
  const keyValue =
    value === null
      ? encodeFields([
          [1, key],
          [3, BigInt(revision)],
        ])
      : encodeFields([
          [1, key],
          [2, BigInt(revision)],
          [3, BigInt(revision)],
          [4, 1n],
          [5, value],
        ]);
  const kind = value === null ? ([[1, 1n]] as const) : [];
  return { revision: BigInt(revision), events: [encodeFields([...kind, [2, keyValue]])] };
}

function answerOf(
  { data }: EtcdProcess,
  events: readonly Uint8Array[],
  more: Partial<WatchAnswer> = {},
): WatchAnswer {
  const { clusterId, memberId, store } = data;
  return watchAnswer({ clusterId, memberId, revision: BigInt(store.revision) }, events, more);
}
