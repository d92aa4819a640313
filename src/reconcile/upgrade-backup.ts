import { readPin } from '../protocol/artifact-pin.ts';
import type { ClusterRecord, Rollout, Target } from '../protocol/record.ts';
import { goesUpMinor } from './etcd-upgrades.ts';
import { block, type Draft, type DraftSeat, freshStatus, type Pass } from './pass.ts';

/*
 * Once every member runs the next minor of etcd there is no way back but a backup that the old version wrote. So where
 * there is an archive, a full is taken and read back before the first member goes up.
 */

/** The step of the plan `update` that stands for it. */
export const FULL_STEP = 'full-backup';

/** What etcd a seat's member runs, or last ran; `null`: unknown. */
export function etcdOf(pass: Pass, seat: DraftSeat): string | null {
  return freshStatus(pass, seat)?.etcd?.version ?? readPin(seat.pinned.artifact).etcd;
}

/** Who said that the upgrade goes on without; absent: nobody. */
export function fullWaived({ plans }: ClusterRecord): ClusterRecord['plans']['forced'][number] | undefined {
  return plans.forced.find(({ plan, step }) => plan === 'update' && step === FULL_STEP);
}

/** The full that was taken for a roll-out: when it was complete; `null`: there is none yet, or no archive. */
export function fullFor({ record, seen }: Pass, rollout: Pick<Rollout, 'id' | 'openedAtMs'>): number | null {
  // Whoever takes over may not know of it: one is enough for all members.
  if (record.upgradeFull?.rollout === rollout.id) return record.upgradeFull.atMs;
  const atMs = seen.archive?.verifiedFullAtMs ?? null;
  return atMs !== null && atMs >= rollout.openedAtMs ? atMs : null;
}

/** A member is about to go up a minor: the full of before is remembered, as the way back. */
export function rememberFull(pass: Pass, rollout: Draft<Rollout>, seat: DraftSeat): void {
  const atMs = fullFor(pass, rollout);
  const etcd = etcdOf(pass, seat);
  if (atMs === null || etcd === null || !goesUp(pass, rollout, seat)) return;
  if (pass.record.upgradeFull?.rollout === rollout.id) return;
  pass.record.upgradeFull = { rollout: rollout.id, etcd, atMs };
}

/** Whether its etcd would go up a minor. Where a version is not known it does not. */
export function isUpgrade(pass: Pass, seat: DraftSeat, target: Target): boolean {
  return goesUpMinor(etcdOf(pass, seat), readPin(target.artifact).etcd);
}

/** Whether this roll-out brings it a newer minor: one of options alone leaves its etcd as it is. */
function goesUp(pass: Pass, { scope, target }: Draft<Rollout>, seat: DraftSeat): boolean {
  return scope === 'all' && isUpgrade(pass, seat, target);
}

/** Whether this member would go up a minor before the full of it is there. */
export function lacksFull(pass: Pass, rollout: Draft<Rollout>, seat: DraftSeat): boolean {
  if (pass.seen.archive === null || !goesUp(pass, rollout, seat)) return false;
  return fullWaived(pass.record as ClusterRecord) === undefined && fullFor(pass, rollout) === null;
}

export function askForFull(pass: Pass, rollout: Draft<Rollout>, seat: DraftSeat): void {
  const { etcd } = readPin(rollout.target.artifact);
  wantFull(pass, rollout, etcd);
  block(
    pass,
    'waits-for-full',
    seat.slot,
    `its upgrade to etcd ${etcd} waits for a full backup that is read back whole; to go on without one: ` +
      `etcd-mesos plan force-complete update etcd ${FULL_STEP}`,
  );
}

function wantFull(pass: Pass, rollout: Draft<Rollout> | null, etcd: string | null): void {
  // By the clock of who takes it: one that went back, or another scheduler's, would have them taken without an end.
  if (rollout !== null) rollout.openedAtMs = Math.min(rollout.openedAtMs, pass.seen.wallMs);
  pass.fullWanted = `before the upgrade to etcd ${etcd}`;
}

/**
 * Why a member may not go up a minor because what it ran is not there any more; `null`: it may. Asks for the full that
 * it waits for. One that was read back in this scheduler's term is of before: it is what brought the newer etcd.
 */
export function objectionToSubstitute(pass: Pass, from: string | null, to: string | null): string | null {
  const { record, seen } = pass;
  if (seen.archive === null || !goesUpMinor(from, to)) return null;
  // Of a cluster that is to be born nothing can be taken; what it is born from is kept.
  if (record.epoch.phase !== 'formed') return null;
  if (fullWaived(record as ClusterRecord) !== undefined) return null;
  const { rollout } = record;
  const atMs = rollout?.scope === 'all' ? fullFor(pass, rollout) : seen.archive.verifiedFullAtMs;
  if (atMs === null) {
    wantFull(pass, rollout, to);
    return (
      'it would go up a minor, which waits for a full backup that is read back whole; to go on without one: ' +
      `etcd-mesos update start, then etcd-mesos plan force-complete update etcd ${FULL_STEP}`
    );
  }
  // One that was taken after a member had gone up may be of the newer etcd.
  const isFirst = record.seats.every((seat) => !goesUpMinor(from, etcdOf(pass, seat)));
  if (from !== null && isFirst && record.upgradeFull?.atMs !== atMs) {
    record.upgradeFull = { rollout: rollout?.id ?? `substitute-${seen.freshId}`, etcd: from, atMs };
  }
  return null;
}
