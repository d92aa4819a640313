import { withDeadline } from '../base/deadline.ts';
import type { Clock } from '../base/ports.ts';
import { type EtcdClient, EtcdError, type EtcdStatus } from '../etcd/port.ts';
import type { EtcdMember, MemberStatus, Probe } from '../protocol/member-status.ts';

/** Looks at one run of our own etcd, again and again, over loopback. */
export interface Prober {
  /** Until `signal` aborts; never rejects. */
  run(signal: AbortSignal): Promise<void>;
  /** Something was changed: what was confirmed before says nothing any more, look closely. */
  noteChange(): void;
  /** `null` while etcd does not answer, or asks for a user. */
  probe(): Probe | null;
  /** As {@link MemberStatus} has it. */
  needsUser(): MemberStatus['needsUser'];
}

/** One look that was answered. */
export interface Look {
  readonly status: EtcdStatus;
  readonly members: readonly EtcdMember[];
  /** A linearizable read had been answered before the status was asked for. */
  readonly confirmed: boolean;
}

export interface ProberOptions {
  readonly clock: Clock;
  readonly client: EtcdClient;
  /** Told after every look that was answered, before the next. */
  readonly onLook: (look: Look) => Promise<void>;
  /** Told after every look that etcd refused, as it asks for a user: it serves all the same. */
  readonly onRefused: () => void;
  /** Told when anything about the probe may have changed. */
  readonly onChange: () => void;
}

/** Pause between looks while something may be about to change, and once nothing does. */
export const UNSETTLED_MS = 100;
const SETTLED_MS = 500;
/** How long after a change it is looked at closely. */
const UNSETTLED_FOR_MS = 5_000;
/** Local evidence needs no other member: an etcd that does not give it in this time is in trouble. */
const LOCAL_MS_MAX = 2_000;
/** The linearizable read hangs without a quorum; it runs beside the local looks, which never wait for it. */
const CONFIRM_MS_MAX = 1_000;
/** Between two questions for the cluster version, which changes once in an upgrade. */
const VERSION_EVERY_MS = 1_500;
/** Failed looks in a row until etcd counts as not answering. */
const FAILURES_MAX = 2;

interface Evidence<T> {
  readonly value: T;
  /** Monotonic, when it was asked for: it may be as old as that. */
  readonly atMs: number;
}

interface Told {
  readonly status: EtcdStatus;
  readonly members: readonly EtcdMember[];
}

/** What stands behind a confirmed quorum. */
interface Confirmed {
  readonly needsUser: boolean;
  /** `null`: it asks for a user before it tells. */
  readonly members: readonly EtcdMember[] | null;
}

export function createProber(options: ProberOptions): Prober {
  const { clock, client } = options;
  let local: Evidence<Told> | null = null;
  /** The newest look was refused: it answers, and tells nothing. */
  let refused = false;
  let confirmed: Evidence<Confirmed> | null = null;
  let confirmedAtMs = Number.POSITIVE_INFINITY;
  let confirming = false;
  let clusterVersion: string | null = null;
  let versionAskedAtMs = Number.NEGATIVE_INFINITY;
  let failures = 0;
  let changedAtMs = clock.monotonicMs();
  let shape = '';
  let pause = new AbortController();
  /** What was begun before then cannot know of the newest change. */
  let staleBeforeMs = Number.NEGATIVE_INFINITY;

  const isSettled = () => {
    const status = local?.value.status;
    const isFirm = status === undefined ? refused : !status.isLearner && status.leaderId !== null;
    return isFirm && clock.monotonicMs() - changedAtMs >= UNSETTLED_FOR_MS;
  };

  const look = async (signal: AbortSignal): Promise<void> => {
    const atMs = clock.monotonicMs();
    const wasConfirmed = confirmed !== null && confirmedAtMs <= atMs;
    try {
      const value = await withDeadline(clock, LOCAL_MS_MAX, signal, async (within) => {
        const status = await client.status(within);
        return { status, members: status.isLearner ? [] : await client.members(within) };
      });
      failures = 0;
      refused = false;
      local = { value, atMs };
      if (value.status.isLearner || value.status.leaderId === null) confirmed = null;
      noteShape(value);
      await options.onLook({ ...value, confirmed: wasConfirmed });
    } catch (error) {
      if (signal.aborted) return;
      if (isRefusal(error)) noteRefusal();
      else if (!noteFailure()) return;
    }
    options.onChange();
  };

  const noteRefusal = (): void => {
    failures = 0;
    if (!refused) changedAtMs = clock.monotonicMs();
    refused = true;
    local = null;
    options.onRefused();
  };

  /** Whether it counts as not answering since this failure. */
  const noteFailure = (): boolean => {
    failures += 1;
    if ((local === null && !refused) || failures < FAILURES_MAX) return false;
    local = null;
    refused = false;
    confirmed = null;
    changedAtMs = clock.monotonicMs();
    return true;
  };

  /** Leadership and membership: a change of either makes the next looks follow closely. */
  const noteShape = ({ status, members }: Told) => {
    const next = JSON.stringify([status.leaderId, status.isLearner, members]);
    if (next !== shape) changedAtMs = clock.monotonicMs();
    shape = next;
  };

  const confirm = async (signal: AbortSignal): Promise<void> => {
    if (confirming || (local === null ? !refused : local.value.status.isLearner)) return;
    confirming = true;
    const atMs = clock.monotonicMs();
    try {
      const value = await withDeadline(clock, CONFIRM_MS_MAX, signal, async (within) => {
        const { needsUser } = await client.confirmQuorum(within);
        return { needsUser, members: await unlessRefused(client.members(within)) };
      });
      if (atMs >= staleBeforeMs) {
        confirmed = { value, atMs };
        confirmedAtMs = clock.monotonicMs();
      }
    } catch {
      confirmed = null;
    } finally {
      confirming = false;
    }
    if (!signal.aborted) options.onChange();
  };

  const learnVersion = async (signal: AbortSignal): Promise<void> => {
    if (local === null || clock.monotonicMs() - versionAskedAtMs < VERSION_EVERY_MS) return;
    versionAskedAtMs = clock.monotonicMs();
    const before = clusterVersion;
    try {
      clusterVersion = await withDeadline(clock, LOCAL_MS_MAX, signal, client.clusterVersion);
    } catch {
      clusterVersion = null;
    }
    if (!signal.aborted && clusterVersion !== before) options.onChange();
  };

  return {
    async run(signal) {
      while (!signal.aborted) {
        await look(signal);
        void confirm(signal);
        void learnVersion(signal);
        pause = new AbortController();
        const end = () => pause.abort();
        signal.addEventListener('abort', end, { once: true });
        await clock.sleep(isSettled() ? SETTLED_MS : UNSETTLED_MS, pause.signal);
        signal.removeEventListener('abort', end);
      }
      local = null;
      refused = false;
      confirmed = null;
    },
    noteChange() {
      changedAtMs = clock.monotonicMs();
      staleBeforeMs = changedAtMs;
      confirmed = null;
      pause.abort();
    },
    probe: () =>
      local === null ? null : { ...probeOf(local, confirmed, clock.monotonicMs()), clusterVersion },
    needsUser: () => (refused || confirmed?.value.needsUser === true ? { quorum: confirmed !== null } : null),
  };
}

function isRefusal(error: unknown): boolean {
  return error instanceof EtcdError && error.code === 'needs-user';
}

async function unlessRefused<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
}

function probeOf(
  local: Evidence<Told>,
  confirmed: Evidence<Confirmed> | null,
  nowMs: number,
): Omit<Probe, 'clusterVersion'> {
  const { status, members } = local.value;
  const told = confirmed?.value.members ?? null;
  return {
    ageMs: Math.max(0, nowMs - Math.min(local.atMs, confirmed?.atMs ?? local.atMs)),
    ...status,
    errors: [...status.errors],
    alarms: status.errors.flatMap(alarmOf),
    confirmedMembers: told === null ? null : [...told],
    localMembers: [...members],
  };
}

/** etcd's Status lists an alarm as the text of its protobuf: `memberID:1234 alarm:NOSPACE `. */
function alarmOf(error: string): readonly { memberId: string; alarm: string }[] {
  const match = /memberID:(\d+) alarm:(\w+)/.exec(error);
  if (match === null) return [];
  return [{ memberId: BigInt(match[1] ?? '0').toString(16), alarm: match[2] ?? '' }];
}
