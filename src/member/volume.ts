import { CodedError } from '../base/errors.ts';
import type { LogPosition } from '../protocol/member-status.ts';

/**
 * The persistent volume of a seat, as a supervisor sees it:
 *
 *     volume.json             who this volume belongs to: written once, by rename, at its first use
 *     fence.json              the highest (epoch, generation) whose order was taken
 *     epoch-<n>/identity.json what the directory holds: written by rename, last
 *     epoch-<n>/floor.json    the highest log position reported to anybody
 *     epoch-<n>/data/         etcd's data directory
 *
 * Where etcd's log has a volume of its own, that one holds
 *
 *     volume.json             as above, and the volume that it belongs beside
 *     epoch-<n>/log.json      the attempt whose log it is: written before the identity
 *     epoch-<n>/wal/          etcd's log
 *
 * Neither is of use without the other: a log that is not that of the data is as bad as no data.
 *
 * Every write is durable when it resolves (file and directory are synced); every read is checked: a file that
 * is there and cannot be understood is an error, never "absent".
 */
export interface MemberVolume {
  /**
   * Looks whether the promised volume is there, and is the one it was before.
   * Rejects with `missing` (no volume at its path) or `foreign` (another volume, cluster or slot).
   */
  open(owner: VolumeOwner): Promise<void>;
  readFence(): Promise<Fence | null>;
  writeFence(fence: Fence): Promise<void>;
  /** The newest epoch's identity, `null` on a volume that holds none. */
  readIdentity(): Promise<StoredIdentity | null>;
  /** Makes an empty data directory and then the identity; what an older, never formed attempt left there goes. */
  createData(identity: StoredIdentity): Promise<void>;
  /** Rewrites the identity beside its data. */
  writeIdentity(identity: StoredIdentity): Promise<void>;
  readFloor(epoch: number): Promise<LogPosition | null>;
  writeFloor(epoch: number, floor: LogPosition): Promise<void>;
  /**
   * `absent` no directory, or not the log's that belongs to it; `present` an etcd member's log, `empty` no log: an
   * etcd that was ended before it wrote one has acknowledged nothing to anybody. Rejects with `corrupt` where others
   * wrote there.
   */
  dataState(epoch: number): Promise<'absent' | 'empty' | 'present'>;
  /** Absolute. */
  dataDirectory(epoch: number): string;
  /** Where etcd's log is, absolute; `null`: in the data directory. */
  logDirectory(epoch: number): string | null;
}
export interface VolumeOwner {
  readonly volumeId: string;
  /** Of the volume for the log; `null`: it has none. */
  readonly walVolumeId: string | null;
  readonly cluster: string;
  readonly slot: string;
}
export interface Fence {
  readonly epoch: number;
  readonly generation: number;
}
export interface StoredIdentity {
  readonly slot: string;
  readonly cluster: string;
  readonly epoch: number;
  readonly attempt: number;
  readonly token: string;
  /** Set, durably, before etcd is first started on the data (S5). */
  readonly started: boolean;
  /** The cluster removed this member: etcd is never started on the data again (S4). */
  readonly removed: boolean;
  readonly clusterId: string | null;
  readonly memberId: string | null;
}

/** What is wrong with a member's volume. None of it is ever mended by guessing. */
export class VolumeError extends CodedError<'missing' | 'foreign' | 'corrupt' | 'full' | 'io'> {}
