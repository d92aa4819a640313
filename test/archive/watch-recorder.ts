import { Client, credentials, Metadata } from '@grpc/grpc-js';
import type { RevisionEvents } from '../../src/backup/events.ts';
import { readEvent } from '../../src/backup/events.ts';
import { bytesOf, decodeFields, encodeFields, uint64Of } from '../../src/etcd/protobuf.ts';

/** One watch of all keys that never breaks, as plain as can be: what the archive's own watch has to come up to. */
export interface WatchRecorder {
  /** What came so far, every revision whole but perhaps the last. */
  revisions(): readonly RevisionEvents[];
  readonly lastRevision: bigint;
  close(): void;
}

const EVERY_KEY = Buffer.of(0);

export function recordWatch(url: string, startRevision: bigint): WatchRecorder {
  const client = new Client(new URL(url).host, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
  });
  const stream = client.makeBidiStreamRequest(
    '/etcdserverpb.Watch/Watch',
    (request: Buffer) => request,
    (bytes: Buffer) => bytes,
    new Metadata(),
    {},
  );
  const byRevision = new Map<bigint, Uint8Array[]>();
  let lastRevision = startRevision - 1n;
  stream.on('data', (bytes: Buffer) => {
    for (const event of bytesOf(decodeFields(bytes), 11)) {
      const { modRevision } = readEvent(event);
      const known = byRevision.get(modRevision);
      if (known === undefined) byRevision.set(modRevision, [event]);
      else known.push(event);
      lastRevision = modRevision;
    }
    if (uint64Of(decodeFields(bytes), 4) !== 0n) stream.emit('error', new Error('the watch was cancelled'));
  });
  let failure: Error | null = null;
  stream.on('error', (error: Error) => {
    failure ??= error;
  });
  const create = encodeFields([
    [1, EVERY_KEY],
    [2, EVERY_KEY],
    [3, startRevision],
  ]);
  stream.write(encodeFields([[1, create]]));
  return {
    revisions: () => {
      if (failure !== null) throw failure;
      return [...byRevision].map(([revision, events]) => ({ revision, events }));
    },
    get lastRevision() {
      return lastRevision;
    },
    close: () => {
      stream.cancel();
      client.close();
    },
  };
}
