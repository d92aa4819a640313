import type { ModelEtcd } from './model-etcd.ts';

/** The directories of all hosts, as far as anybody looks: volumes, what supervisors wrote on them, etcd's data. */
export interface SimDisk {
  create(host: string, path: string): void;
  /** With all in it. */
  remove(host: string, path: string): void;
  exists(host: string, path: string): boolean;
  /** The files of a volume by their name; the same map as long as the volume is there. `null` without it. */
  files(host: string, path: string): Map<string, unknown> | null;
  readonly etcd: ModelEtcd;
}

export function createSimDisk(etcd: ModelEtcd): SimDisk {
  const volumes = new Map<string, Map<string, unknown>>();
  const keyOf = (host: string, path: string) => `${host}:${path}`;
  return {
    etcd,
    create: (host, path) => {
      const key = keyOf(host, path);
      if (!volumes.has(key)) volumes.set(key, new Map());
    },
    remove: (host, path) => {
      const key = keyOf(host, path);
      for (const other of [...volumes.keys()]) {
        if (other === key || other.startsWith(`${key}/`)) volumes.delete(other);
      }
      etcd.erase(host, path);
    },
    exists: (host, path) => volumes.has(keyOf(host, path)),
    files: (host, path) => volumes.get(keyOf(host, path)) ?? null,
  };
}
