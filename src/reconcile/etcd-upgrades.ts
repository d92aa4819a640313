import type { UpgradeFull } from '../protocol/record.ts';

/**
 * From which version of etcd to which a member may go. etcd goes up one minor at a time, member by member, and its
 * cluster version follows once every member runs the newer one; from then on no member goes back.
 */

export interface EtcdRelease {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** `null` for what is no version. */
export function readRelease(text: string | null): EtcdRelease | null {
  const match = text === null ? null : /^(\d+)\.(\d+)\.(\d+)/.exec(text);
  if (match === null) return null;
  return { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3]) };
}

/** By the minor of etcd 3 that a member goes up to: the oldest patch of the minor below that may, and why. */
const OLDEST_PATCH_BELOW: Readonly<Record<number, { readonly patch: number; readonly why: string }>> = {
  6: { patch: 26, why: 'members that were removed may come back' },
};

/** From the newer version there is no way back once all members run it. `false` where one of them is not known. */
export function goesUpMinor(from: string | null, to: string | null): boolean {
  const [old, next] = [readRelease(from), readRelease(to)];
  return old !== null && next !== null && old.major === next.major && old.minor < next.minor;
}

export interface EtcdStep {
  /** What the member runs, or last ran; `null`: unknown. */
  readonly from: string | null;
  /** What it is to run; `null`: unknown. */
  readonly to: string | null;
  /** etcd's cluster version, as `3.5.0`; `null`: unknown, then it may be that of `from`. */
  readonly cluster: string | null;
  /** What was kept of before; `null`: nothing. */
  readonly full: UpgradeFull | null;
}

/** Why a member must not go from one to the other, and what to do instead; `null`: it may. */
export function objectionToVersion(step: EtcdStep): string | null {
  const [from, to] = [readRelease(step.from), readRelease(step.to)];
  if (to === null) {
    return 'it is not known which etcd is in it: say it with --artifact-etcd-version';
  }
  if (from === null) return null;
  const cluster = readRelease(step.cluster) ?? from;
  const name = (minor: number): string => `${to.major}.${minor}`;
  if (to.major !== from.major) return `etcd does not go from ${step.from} to ${step.to}`;
  if (to.minor < cluster.minor) {
    return (
      `the cluster's version is ${name(cluster.minor)} by now, and etcd ${step.to} does not serve it: ` +
      `a downgrade takes a backup of before, restored with that version${wayBack(step.full)}`
    );
  }
  if (to.minor > from.minor + 1) {
    return `etcd goes up one minor at a time: first to ${name(from.minor + 1)}, then to ${step.to}`;
  }
  if (to.minor > cluster.minor + 1) {
    return `the cluster's version is still ${name(cluster.minor)}: it rises once all members run ${name(cluster.minor + 1)}`;
  }
  const floor = OLDEST_PATCH_BELOW[to.minor];
  if (floor !== undefined && to.minor === from.minor + 1 && from.patch < floor.patch) {
    const least = `${name(from.minor)}.${floor.patch}`;
    return `from ${step.from} to ${step.to} ${floor.why}: first to ${least} or a later ${name(from.minor)}`;
  }
  return null;
}

function wayBack(full: UpgradeFull | null): string {
  if (full === null) return '';
  return `: etcd-mesos restore --to ${new Date(full.atMs).toISOString()}, when a full of etcd ${full.etcd} was taken`;
}
