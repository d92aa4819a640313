import type { ArchiveStore } from '../../src/backup/store-port.ts';
import type { StreamClient } from '../../src/etcd/port.ts';
import type { ArchiveAccess } from '../../src/framework/archive-access.ts';
import type { CrashPoint } from './crash-point.ts';
import type { Mortal } from './mortal.ts';

/** The archive as one process has it: what it does there dies with it, and may be what it is killed at. */
export function archiveOf(access: ArchiveAccess, mortal: Mortal, crash: CrashPoint): ArchiveAccess {
  return {
    ...access,
    open: async (signal) => {
      const store = await mortal.port(access).open(signal);
      return mortalStore(crash.archive(store), mortal);
    },
    openSpool: async () => {
      const spool = await mortal.port(access).openSpool();
      return spool === null ? null : { ...spool, store: mortalStore(spool.store, mortal) };
    },
    connect: (url) => mortalClient(access.connect(url), mortal),
  };
}

function mortalStore(store: ArchiveStore, mortal: Mortal): ArchiveStore {
  const { growing } = store;
  const own = mortal.port(store);
  return {
    place: store.place,
    put: async (key, content, options) => {
      const sent = content instanceof Uint8Array ? content : mortal.stream(content);
      return await own.put(key, sent, options);
    },
    head: async (key, signal) => await own.head(key, signal),
    remove: async (key, signal) => await own.remove(key, signal),
    read: (key, options) => mortal.stream(store.read(key, options)),
    list: (prefix, options) => mortal.stream(store.list(prefix, options)),
    growing:
      growing === null
        ? null
        : {
            create: async (key, first, signal) =>
              mortal.port(await mortal.port(growing).create(key, first, signal)),
          },
  };
}

function mortalClient(client: StreamClient, mortal: Mortal): StreamClient {
  const own = mortal.port(client);
  const end = () => client.close();
  mortal.death.addEventListener('abort', end);
  return {
    status: async (signal) => await own.status(signal),
    hashKv: async (revision, signal) => await own.hashKv(revision, signal),
    leaseTtl: async (lease, signal) => await own.leaseTtl(lease, signal),
    authRevision: async (signal) => await own.authRevision(signal),
    snapshot: (signal) => mortal.stream(client.snapshot(signal)),
    watchAll: (start, signal) => mortal.stream(client.watchAll(start, signal)),
    close: () => {
      mortal.death.removeEventListener('abort', end);
      client.close();
    },
  };
}
