import type { ClusterRecord, Disruption, Seat } from '../protocol/record.ts';
import type { ClusterHealth } from '../reconcile/decision.ts';
import { describeDisruption, HANDOVER_MS_MAX } from '../reconcile/disruption.ts';
import type { TaskEvidence } from '../reconcile/observation.ts';

/** One readable line for each thing that happens, and why. */
export interface StoryEvent {
  readonly atMs: number;
  readonly slot: string | null;
  readonly text: string;
  readonly reason: string;
}
export type StoryPart = Omit<StoryEvent, 'atMs'>;

/** What became of the record from one pass to the next. Pure. */
export function storyOfRecord(before: ClusterRecord, after: ClusterRecord): readonly StoryPart[] {
  return [
    ...epochStory(before, after),
    ...sizeStory(before, after),
    ...after.seats.flatMap((seat) =>
      seatStory(
        before.seats.find((old) => old.id === seat.id),
        seat,
      ),
    ),
    ...intentStory(before, after),
    ...disruptionStory(before, after),
    ...leavingStory(before, after),
  ];
}

function sizeStory(before: ClusterRecord, after: ClusterRecord): readonly StoryPart[] {
  const { size, scaling } = after;
  if (size !== before.size) {
    const reason = `asked for by ${scaling?.by ?? 'the option --cluster-size'}`;
    return [{ slot: null, text: `the cluster goes from ${before.size} to ${size} members`, reason }];
  }
  if (before.scaling === null || scaling !== null) return [];
  const reason = `${before.scaling.by} asked for as many`;
  return [{ slot: null, text: `the cluster has ${size} members now`, reason }];
}

function epochStory(before: ClusterRecord, after: ClusterRecord): readonly StoryPart[] {
  const { epoch } = after;
  if (before.epoch.attempt !== epoch.attempt || before.epoch.number !== epoch.number) {
    return [
      {
        slot: null,
        text: `epoch ${epoch.number} begins attempt ${epoch.attempt}`,
        reason: epoch.source.kind,
      },
    ];
  }
  if (before.epoch.phase === epoch.phase) return [];
  if (epoch.phase === 'go') {
    const slots = epoch.members.map((member) => member.slot).join(', ');
    return [
      { slot: null, text: `the cluster starts with ${slots}`, reason: 'their data directories are ready' },
    ];
  }
  return [
    {
      slot: null,
      text: `the cluster has formed as ${epoch.clusterId ?? 'unknown'}`,
      reason: 'a quorum of its members reports it',
    },
  ];
}

function seatStory(before: Seat | undefined, seat: Seat): readonly StoryPart[] {
  const parts: StoryPart[] = [];
  if (seat.taskEnd !== null && before?.taskEnd === null && before.task === seat.task) {
    const { state, message } = seat.taskEnd;
    const what = seat.taskEnd.standing === 'asserted' ? 'is said to be gone' : 'is over';
    parts.push({ slot: seat.slot, text: `its task ${what}`, reason: join(state, message) });
  }
  if (seat.nameTask === null && before !== undefined && before.nameTask !== null) {
    parts.push({ slot: seat.slot, text: 'DNS tells clients of it no more', reason: 'its name task is over' });
  }
  if (seat.paused !== null && before !== undefined && before.paused === null) {
    parts.push({ slot: seat.slot, text: 'its etcd is to be down', reason: `paused by ${seat.paused.by}` });
  }
  if (seat.paused === null && before !== undefined && before.paused !== null) {
    parts.push({ slot: seat.slot, text: 'its etcd may run again', reason: 'it is not paused any more' });
  }
  if (seat.lost !== null && before !== undefined && before.lost === null) {
    parts.push({ slot: seat.slot, text: 'its place is given up', reason: seat.lost.message });
  }
  if (seat.lost === null && before !== undefined && before.lost !== null) {
    parts.push({ slot: seat.slot, text: 'its place is back', reason: 'its task was seen again' });
  }
  return parts;
}

function intentStory(before: ClusterRecord, after: ClusterRecord): readonly StoryPart[] {
  const parts: StoryPart[] = [];
  if (before.intent !== null && before.intent.id !== after.intent?.id) {
    const { slot, reason, committed } = before.intent;
    parts.push({
      slot,
      text: committed ? 'membership change finished' : 'membership change dropped',
      reason,
    });
  }
  if (after.intent !== null && after.intent.id !== before.intent?.id) {
    const { slot, reason, remove, add } = after.intent;
    const what = add === null ? 'remove its member' : remove === null ? 'add a member' : 'replace its member';
    parts.push({ slot, text: `membership change begun: ${what}`, reason });
  }
  return parts;
}

function disruptionStory(before: ClusterRecord, after: ClusterRecord): readonly StoryPart[] {
  const parts: StoryPart[] = [];
  const over = before.disruption?.id === after.disruption?.id ? null : before.disruption;
  if (over !== null) {
    const text = `${describeDisruption(over)} is ${wasDone(over, after) ? 'done' : 'given up'}`;
    parts.push({ slot: over.slot, text, reason: over.reason });
  }
  const next = before.disruption?.id === after.disruption?.id ? null : after.disruption;
  if (next !== null) {
    const how = next.forced ? ', forced' : '';
    const reason = `${next.reason}, by ${next.by}${how}`;
    parts.push({ slot: next.slot, text: `${describeDisruption(next)} is opened`, reason });
  }
  return parts;
}

/** What it was for has come about: a new task, or an etcd that is held down. */
function wasDone(of: Disruption, { seats }: ClusterRecord): boolean {
  const { kind, begun, seat: id, task, handoverMs } = of;
  const seat = seats.find((one) => one.id === id);
  if (seat === undefined || seat.lost !== null) return false;
  switch (kind) {
    case 'restart':
    case 'update':
      return seat.task !== task;
    case 'pause':
      return seat.paused !== null;
    case 'move-leader':
      return begun && handoverMs < HANDOVER_MS_MAX;
    case 'defragment':
      return begun;
  }
}

function leavingStory(before: ClusterRecord, after: ClusterRecord): readonly StoryPart[] {
  const was = new Set(before.leaving.map((entry) => entry.seat.id));
  const is = new Set(after.leaving.map((entry) => entry.seat.id));
  return [
    ...after.leaving
      .filter((entry) => !was.has(entry.seat.id))
      .map(({ seat, reason }) => ({ slot: seat.slot, text: `leaves ${seat.hostname}`, reason })),
    ...before.leaving
      .filter((entry) => !is.has(entry.seat.id))
      .map(({ seat, reason }) => ({
        slot: seat.slot,
        text: `nothing is left of its place on ${seat.hostname}`,
        reason,
      })),
  ];
}

/** A task that started to run, went out of sight or came back. */
export function storyOfTask(
  seat: Seat,
  before: TaskEvidence | undefined,
  after: TaskEvidence | undefined,
): readonly StoryPart[] {
  if (after === undefined || before?.kind === after.kind) {
    const ran = before?.kind === 'alive' && before.state === 'TASK_RUNNING';
    const runs = after?.kind === 'alive' && after.state === 'TASK_RUNNING';
    return runs && !ran
      ? [{ slot: seat.slot, text: `its task runs on ${seat.hostname}`, reason: after.state }]
      : [];
  }
  if (after.kind === 'unreachable') {
    return [{ slot: seat.slot, text: `${seat.hostname} is out of the master's sight`, reason: after.state }];
  }
  if (after.kind === 'alive' && after.state === 'TASK_RUNNING') {
    const text =
      before === undefined ? `its task runs on ${seat.hostname}` : `its task on ${seat.hostname} is back`;
    return [{ slot: seat.slot, text, reason: after.state }];
  }
  return [];
}

export function storyOfHealth(before: ClusterHealth | null, after: ClusterHealth): readonly StoryPart[] {
  if (before?.state === after.state && before.healthyVoters === after.healthyVoters) return [];
  return [
    {
      slot: null,
      text: `cluster is ${after.state}`,
      reason: `${after.healthyVoters} of ${after.voters} voters are healthy`,
    },
  ];
}

function join(...parts: readonly string[]): string {
  return parts.filter((part) => part !== '').join(': ');
}
