import { describeArtifact, isSameArtifact, readPin, sha256Of } from '../protocol/artifact-pin.ts';
import type { Pinned } from './decision.ts';
import { objectionToVersion, readRelease } from './etcd-upgrades.ts';
import { type DraftSeat, freshStatus, type Pass, seatsOf } from './pass.ts';
import { objectionToSubstitute } from './upgrade-backup.ts';

/*
 * What tasks are launched with: what their seat has pinned. A scheduler that brings something newer touches no
 * member with it; a roll-out does.
 */

export interface Launchable {
  readonly run: Pinned;
  /** Why it is not what was pinned; `null`: it is. */
  readonly instead: string | null;
}

/** What can be launched for what is pinned, or why nothing can be. */
export function launchable(pass: Pass, pinned: Pinned): Launchable | { readonly objection: string } {
  const { spec } = pass;
  const present = { artifact: spec.artifact, etcd: pinned.etcd };
  if (isSameArtifact(pinned.artifact, spec.artifact)) return { run: present, instead: null };
  const pin = readPin(pinned.artifact);
  if (pin.source !== null && pin.source.from !== 'scheduler') return { run: pinned, instead: null };
  if (spec.kept.has(sha256Of(pin) ?? '')) return { run: pinned, instead: null };
  // Earlier releases launched what they had, and their records do not tell what that was.
  if (pin.source === null) return { run: present, instead: null };
  const missing = `this scheduler does not have ${describeArtifact(pinned.artifact)}, which its member ran`;
  const { etcd } = readPin(spec.artifact);
  const step = { from: pin.etcd, to: etcd, cluster: clusterVersionOf(pass), full: pass.record.upgradeFull };
  const objection = objectionToVersion(step) ?? objectionToSubstitute(pass, pin.etcd, etcd);
  if (objection === null) return { run: present, instead: missing };
  const other = describeArtifact(spec.artifact);
  const cure = 'copy the directory artifacts of the state directory from the machine that packed it';
  return { objection: `${missing}, and ${other} may not take its place: ${objection}; ${cure}` };
}

/**
 * As what a new place of a slot begins: as the slot's member, unless an update failed there; else as the others; else
 * with what is present.
 */
export function pinnedForSlot(pass: Pass, slot: string): Pinned {
  const { seats, rollout } = pass.record;
  const hasFailed = rollout?.failed?.slot === slot;
  const before = hasFailed ? undefined : seatsOf(pass, slot).at(-1);
  const others = seats.filter((seat) => seat.slot !== slot);
  const like = before ?? mostCommon(others);
  return like?.pinned ?? { artifact: pass.spec.artifact, etcd: pass.spec.etcd };
}

function mostCommon(seats: readonly DraftSeat[]): DraftSeat | undefined {
  const like = (seat: DraftSeat): number =>
    seats.filter((other) => isSamePinned(other.pinned, seat.pinned)).length;
  return seats.toSorted((one, other) => like(other) - like(one))[0];
}

export function isSamePinned(one: Pinned, other: Pinned): boolean {
  return isSameArtifact(one.artifact, other.artifact) && isSameOptions(one.etcd, other.etcd);
}

export function isSameOptions(one: Pinned['etcd'], other: Pinned['etcd']): boolean {
  return (Object.keys(one) as (keyof Pinned['etcd'])[]).every((name) => one[name] === other[name]);
}

/** etcd's cluster version by the newest word of any member; `null`: none says it. */
export function clusterVersionOf(pass: Pass): string | null {
  const told = pass.record.seats.flatMap((seat) => {
    const text = freshStatus(pass, seat)?.probe?.clusterVersion ?? null;
    const release = readRelease(text);
    return text === null || release === null ? [] : [{ text, release }];
  });
  return told.toSorted((a, b) => b.release.minor - a.release.minor)[0]?.text ?? null;
}
