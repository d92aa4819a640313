import {
  type Fence,
  type MemberVolume,
  type StoredIdentity,
  VolumeError,
  type VolumeOwner,
} from '../../src/member/volume.ts';
import type { LogPosition } from '../../src/protocol/member-status.ts';

/** A disk that outlives supervisors: {@link connect} opens it again. What can happen to disks can be done to it. */
export interface MemoryDisk {
  connect(): MemberVolume;
  /** The volume is gone, as if its disk were not mounted. */
  lose(): void;
  /** A copy of now, for {@link restore}. */
  copy(): DiskCopy;
  /** Brings an old copy back: a disk that was restored from a backup. */
  restore(copy: DiskCopy): void;
  /** From now on writes fail for lack of space, or no more. */
  setFull(full: boolean): void;
  /** What etcd's files are, for the model of etcd. */
  setData(epoch: number, state: 'empty' | 'present'): void;
  /** The fence file holds garbage. */
  corrupt(): void;
}
export type DiskCopy = Readonly<Record<'memory disk', unknown>>;

interface Contents {
  owner: VolumeOwner | null;
  fence: Fence | null;
  readonly identities: Map<number, StoredIdentity>;
  readonly floors: Map<number, LogPosition>;
  readonly data: Map<number, 'empty' | 'present'>;
}

/** @param options.dataPresent asks somebody else (a model of etcd) whether a directory holds a log. */
export function createMemoryDisk(
  options: { readonly path?: string; readonly dataPresent?: (directory: string) => boolean } = {},
): MemoryDisk {
  const path = options.path ?? '/volume';
  let contents: Contents | null = emptyContents();
  let full = false;
  let corrupt = false;

  const read = (): Contents => {
    if (contents === null) throw new VolumeError('missing', `the promised volume is not at ${path}`);
    return contents;
  };
  const write = (): Contents => {
    if (full) throw new VolumeError('full', `no space left on ${path}`);
    return read();
  };
  const dataDirectory = (epoch: number) => `${path}/epoch-${epoch}/data`;

  const connect = (): MemberVolume => ({
    open: async (owner) => claim(read, write, owner),
    readFence: async () => {
      if (corrupt) throw new VolumeError('corrupt', `${path}/fence.json is not JSON`);
      return read().fence;
    },
    writeFence: async (fence) => {
      write().fence = fence;
    },
    readIdentity: async () => {
      const { identities } = read();
      return identities.get(Math.max(...identities.keys())) ?? null;
    },
    createData: async (identity) => {
      const { identities, floors, data } = write();
      identities.set(identity.epoch, identity);
      floors.delete(identity.epoch);
      data.set(identity.epoch, 'empty');
    },
    writeIdentity: async (identity) => void write().identities.set(identity.epoch, identity),
    readFloor: async (epoch) => read().floors.get(epoch) ?? null,
    writeFloor: async (epoch, floor) => void write().floors.set(epoch, floor),
    dataState: async (epoch) => {
      const state = read().data.get(epoch) ?? 'absent';
      return options.dataPresent?.(dataDirectory(epoch)) === true ? 'present' : state;
    },
    dataDirectory,
    logDirectory: () => null,
  });

  return {
    connect,
    lose: () => {
      contents = null;
    },
    copy: () => ({ 'memory disk': structuredClone(contents) }),
    restore: (copy) => {
      contents = structuredClone(copy['memory disk']) as Contents | null;
    },
    setFull: (value) => {
      full = value;
    },
    setData: (epoch, state) => void read().data.set(epoch, state),
    corrupt: () => {
      corrupt = true;
    },
  };
}

function claim(read: () => Contents, write: () => Contents, owner: VolumeOwner): void {
  const known = read().owner;
  if (known === null) {
    write().owner = owner;
    return;
  }
  for (const key of ['volumeId', 'cluster', 'slot'] as const) {
    if (known[key] !== owner[key]) {
      throw new VolumeError('foreign', `the volume belongs to ${key} ${known[key]}, not to ${owner[key]}`);
    }
  }
}

function emptyContents(): Contents {
  return { owner: null, fence: null, identities: new Map(), floors: new Map(), data: new Map() };
}
