import { parseEtcdVersion } from '../../src/etcd/versions.ts';
import type { DataDirectory } from './model-raft.ts';

/** Which etcd each member runs, and what follows from it for its cluster. */
export interface ModelVersions {
  /** A member runs with this data. */
  started(data: DataDirectory, version: string): void;
  ofMember(data: DataDirectory): string;
  /** The lowest minor of all members, as `3.5.0`; it never falls. */
  ofCluster(data: DataDirectory): string;
  /** No member is older than its cluster's version. */
  serves(data: DataDirectory, version: string): boolean;
}

/** Where a program's path does not tell another. */
export const USUAL_VERSION = '3.5.29';

/** In the simulation an etcd says in its path which one it is. */
export function versionOfProgram(path: string): string {
  return /\/etcd-(\d+\.\d+\.\d+)\/etcd$/.exec(path)?.[1] ?? USUAL_VERSION;
}

export function createModelVersions(): ModelVersions {
  const members = new Map<string, string>();
  const clusters = new Map<string, number>();
  const ofMember = (clusterId: string, memberId: string): string =>
    members.get(`${clusterId}/${memberId}`) ?? USUAL_VERSION;
  const minorOf = (version: string): number => parseEtcdVersion(`etcd Version: ${version}`).minor;

  const clusterMinor = ({ clusterId, members: listed }: DataDirectory): number => {
    const minors = [...listed.keys()].map((id) => minorOf(ofMember(clusterId, id)));
    const minor = Math.max(clusters.get(clusterId) ?? 0, Math.min(...minors, Number.MAX_SAFE_INTEGER));
    if (minors.length > 0) clusters.set(clusterId, minor);
    return minor;
  };

  return {
    started: ({ clusterId, memberId }, version) => void members.set(`${clusterId}/${memberId}`, version),
    ofMember: ({ clusterId, memberId }) => ofMember(clusterId, memberId),
    ofCluster: (data) => `3.${clusterMinor(data)}.0`,
    serves: ({ clusterId }, version) => minorOf(version) >= (clusters.get(clusterId) ?? 0),
  };
}
