import type { MemberVolume } from '../../src/member/volume.ts';
import { createMemoryDisk, type MemoryDisk } from './memory-volume.ts';
import type { ModelEtcd } from './model-etcd.ts';

/** The persistent volumes of all hosts, with what supervisors wrote on them and etcd's data in them. */
export interface SimDisk {
  /** Leaves alone what is there. */
  create(host: string, path: string): void;
  /** Every volume at or under that path, with all in it. */
  remove(host: string, path: string): void;
  /** Everything at or under that path as it is now. Only while nothing runs on it are copies taken and put back. */
  copyOf(host: string, path: string): () => void;
  /** etcd's own directories at or under that path are gone; what supervisors wrote stays. */
  loseData(host: string, path: string): void;
  /** As a process finds it that starts now; a path without a volume gives one that is missing. */
  open(host: string, path: string): MemberVolume;
}

export function createSimDisk(etcd: ModelEtcd): SimDisk {
  const disks = new Map<string, MemoryDisk>();
  const keyOf = (host: string, path: string) => `${host}:${path}`;
  const make = (host: string, path: string) =>
    createMemoryDisk({ path, dataPresent: (directory) => etcd.hasData(host, directory) });
  return {
    create: (host, path) => {
      const key = keyOf(host, path);
      if (!disks.has(key)) disks.set(key, make(host, path));
    },
    remove: (host, path) => {
      const top = keyOf(host, path);
      for (const [key, disk] of [...disks]) {
        if (key !== top && !key.startsWith(`${top}/`)) continue;
        disk.lose();
        disks.delete(key);
      }
      etcd.erase(host, path);
    },
    copyOf: (host, path) => {
      const top = keyOf(host, path);
      const volumes = [...disks].flatMap(([key, disk]) =>
        key === top || key.startsWith(`${top}/`) ? [{ disk, copy: disk.copy() }] : [],
      );
      const data = etcd.copyOf(host, path);
      return () => {
        for (const { disk, copy } of volumes) disk.restore(copy);
        etcd.erase(host, path);
        etcd.restore(data);
      };
    },
    loseData: etcd.erase,
    open: (host, path) => {
      const disk = disks.get(keyOf(host, path));
      if (disk === undefined) {
        const missing = make(host, path);
        missing.lose();
        return missing.connect();
      }
      const volume = disk.connect();
      return {
        ...volume,
        createData: async (identity) => {
          etcd.erase(host, volume.dataDirectory(identity.epoch));
          await volume.createData(identity);
        },
      };
    },
  };
}
