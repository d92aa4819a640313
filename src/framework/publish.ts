import { USUAL_CLUSTER_SIZE } from '../protocol/identifiers.ts';
import { clientUrlOf, peerUrlOf } from '../protocol/launch.ts';
import type { EtcdMember, MemberStatus, Probe } from '../protocol/member-status.ts';
import type { ClusterRecord, Disruption, Intent, Seat, SpaceRecord } from '../protocol/record.ts';
import type { PublishedMember, PublishedView } from '../protocol/view.ts';
import { FRESH_MS, type Observation } from '../reconcile/observation.ts';
import { tellsNothing } from '../reconcile/users.ts';
import { archiveWarningsOf } from './archive-warnings.ts';
import { concentrationsOf } from './concentration.ts';
import type { SchedulerConfig } from './config.ts';
import { fullMembersOf } from './fullness.ts';
import { plansOf } from './plans.ts';
import type { SchedulerSnapshot } from './snapshot.ts';

/** Which program publishes, and as which of several schedulers. */
export interface Publisher {
  readonly build: string;
  readonly scheduler: PublishedView['scheduler'];
}

/** What others may know of a snapshot: the one value behind API, metrics and command line. Pure. */
export function publishedViewOf(
  snapshot: SchedulerSnapshot,
  config: SchedulerConfig,
  by: Publisher,
): PublishedView {
  const { record, observation, mesos } = snapshot;
  const members = record === null ? [] : membersOf(record, observation);
  return {
    atMs: snapshot.atMs,
    build: by.build,
    scheduler: by.scheduler,
    framework: {
      name: config.framework.name,
      id: record?.framework.id ?? null,
      generation: record?.generation ?? 0,
    },
    cluster: record?.cluster ?? null,
    size: record?.size ?? config.spec.size ?? USUAL_CLUSTER_SIZE,
    scaling: record?.scaling == null ? null : scalingOf(record.scaling),
    epoch: record === null ? null : epochOf(record),
    health: snapshot.decision?.health ?? { state: 'forming', voters: 0, healthyVoters: 0, leader: null },
    members,
    endpoints: record?.epoch.phase === 'formed' ? endpointsOf(record, members) : { client: [], peer: [] },
    intent: record?.intent == null ? null : intentOf(record.intent, listedBy(observation)),
    disruption: record?.disruption == null ? null : disruptionOf(record, record.disruption),
    space: record?.space == null ? null : spaceWorkOf(record.space),
    archive: snapshot.archive,
    blocked: [...snapshot.blocked],
    warnings: [
      ...(record === null ? [] : [...concentrationsOf(record), ...fullMembersOf(members)]),
      ...archiveWarningsOf(snapshot.archive, snapshot.atMs),
    ],
    plans: plansOf(snapshot, config.spec),
    uninstall: uninstallOf(snapshot),
    mesos: {
      master: masterUrlOf(mesos.master),
      subscribed: mesos.subscribed,
      frameworkId: mesos.frameworkId,
      failoverTimeoutMs: config.framework.failoverTimeoutMs,
      suppressed: mesos.suppressed,
      offersHeld: mesos.offersHeld,
      problem: mesos.problem,
    },
    story: [...snapshot.story],
    counters: snapshot.counters,
  };
}

function uninstallOf({ record, uninstalled }: SchedulerSnapshot): PublishedView['uninstall'] {
  if (uninstalled) return { confirmed: true, done: true, skipped: record?.uninstall?.skipped ?? [] };
  if (record?.uninstall == null) return null;
  return { confirmed: record.uninstall.confirmed, done: false, skipped: record.uninstall.skipped };
}

/** Where clients and peers find the cluster; `null` before it has formed. */
export function publishedEndpointsOf({
  record,
  observation,
}: Pick<SchedulerSnapshot, 'record' | 'observation'>): PublishedView['endpoints'] | null {
  if (record?.epoch.phase !== 'formed') return null;
  return endpointsOf(record, membersOf(record, observation));
}

function epochOf(record: ClusterRecord): PublishedView['epoch'] {
  const { number, attempt, phase, clusterId } = record.epoch;
  return { number, attempt, phase, clusterId };
}

function spaceWorkOf({ round, relief, disarm }: SpaceRecord): PublishedView['space'] {
  return {
    defragment:
      round === null
        ? null
        : {
            by: round.by,
            reason: round.reason,
            atMs: round.atMs,
            forced: round.forced,
            slots: [...round.slots],
          },
    relief:
      relief === null ? null : { sinceMs: relief.sinceMs, stage: relief.stage, compactTo: relief.compactTo },
    disarm: disarm === null ? null : { alarm: disarm.alarm, by: disarm.by },
  };
}

function scalingOf({ from, by, atMs }: NonNullable<ClusterRecord['scaling']>): PublishedView['scaling'] {
  return { from, by, atMs };
}

function membersOf(record: ClusterRecord, seen: Observation | null): PublishedMember[] {
  const listed = listedBy(seen);
  const slots = Array.from({ length: record.size }, (_, at) => `etcd-${at}`);
  const extra = record.seats.map((seat) => seat.slot).filter((slot) => !slots.includes(slot));
  return [...slots, ...new Set(extra)].flatMap((slot) => {
    const seats = record.seats.filter((seat) => seat.slot === slot);
    return seats.length === 0 ? [emptySlot(slot)] : seats.map((seat) => memberOf(seat, seen, listed));
  });
}

/** The members of the cluster by the best word there is: of one that speaks for a quorum, else of any. */
function listedBy(seen: Observation | null): readonly EtcdMember[] {
  const probes = [...(seen?.members.values() ?? [])].flatMap(({ status, ageMs }) =>
    status?.probe == null || ageMs > FRESH_MS ? [] : [status.probe],
  );
  return (
    probes.find((probe) => probe.confirmedMembers !== null)?.confirmedMembers ?? probes[0]?.localMembers ?? []
  );
}

function memberOf(seat: Seat, seen: Observation | null, listed: readonly EtcdMember[]): PublishedMember {
  const view = seen?.members.get(seat.id);
  const status = view?.status ?? null;
  const fresh = view !== undefined && view.ageMs <= FRESH_MS && view.failingMs === 0 ? status : null;
  const probe = fresh?.probe ?? null;
  const member = listed.find((one) => one.peerUrls.includes(peerUrlOf(seat)));
  return {
    slot: seat.slot,
    seat: seat.id,
    task: seat.task,
    agentId: seat.agentId,
    hostname: seat.hostname,
    zone: seat.zone,
    host: seat.host,
    ports: seat.ports,
    memberId: member?.id ?? seat.data?.memberId ?? null,
    role: member === undefined ? 'none' : member.isLearner ? 'learner' : 'voter',
    phase: status?.phase ?? null,
    mesosState: mesosStateOf(seat.task, seen) ?? seat.taskEnd?.state ?? null,
    nameTask:
      seat.nameTask === null
        ? null
        : { task: seat.nameTask.task, mesosState: mesosStateOf(seat.nameTask.task, seen) },
    paused: seat.paused,
    etcdVersion: probe?.version ?? status?.etcd?.version ?? null,
    leader: probe !== null && probe.leaderId === probe.memberId,
    healthy: seat.taskEnd === null && fresh !== null && isHealthy(fresh, member),
    ...progressOf(probe),
    quotaBytes: seat.pinned.etcd.quotaBytes,
    busy: fresh?.busy ?? null,
    problem: problemOf(seat, status, view?.failingMs ?? 0),
    restarts: status?.etcd?.restarts ?? 0,
    warnings: status?.warnings ?? [],
  };
}

function isHealthy(status: MemberStatus, member: EtcdMember | undefined): boolean {
  const { probe, needsUser } = status;
  if (tellsNothing(status)) return needsUser?.quorum === true;
  return probe !== null && probe.leaderId !== null && member !== undefined;
}

function mesosStateOf(task: string, seen: Observation | null): string | null {
  const evidence = seen?.mesos.tasks.get(task);
  return evidence?.kind === 'over' ? evidence.end.state : (evidence?.state ?? null);
}

function progressOf(
  probe: Probe | null,
): Pick<
  PublishedMember,
  'revision' | 'raftTerm' | 'raftIndex' | 'dbSizeBytes' | 'dbSizeInUseBytes' | 'alarms'
> {
  if (probe === null) {
    const unknown = { revision: null, raftTerm: null, raftIndex: null };
    return { ...unknown, dbSizeBytes: null, dbSizeInUseBytes: null, alarms: [] };
  }
  const { revision, raftTerm, raftIndex, dbSizeBytes, dbSizeInUseBytes, alarms } = probe;
  return { revision, raftTerm, raftIndex, dbSizeBytes, dbSizeInUseBytes, alarms: [...alarms] };
}

function problemOf(seat: Seat, status: MemberStatus | null, failingMs: number): string | null {
  if (seat.lost !== null) return seat.lost.message;
  if (seat.taskEnd !== null) return [seat.taskEnd.state, seat.taskEnd.message].filter(Boolean).join(': ');
  if (status !== null && failingMs > 0) {
    return `its supervisor has not answered for ${Math.max(1, Math.round(failingMs / 1000))} s`;
  }
  return status?.problem ?? null;
}

function emptySlot(slot: string): PublishedMember {
  return {
    slot,
    seat: null,
    task: null,
    agentId: null,
    hostname: null,
    zone: null,
    host: null,
    ports: null,
    memberId: null,
    role: 'none',
    phase: null,
    mesosState: null,
    nameTask: null,
    paused: null,
    etcdVersion: null,
    leader: false,
    healthy: false,
    ...progressOf(null),
    quotaBytes: null,
    busy: null,
    problem: null,
    restarts: 0,
    warnings: [],
  };
}

/**
 * Where clients find the cluster: voters, as the member list has them. A voter that is away for a moment stays
 * listed, so that the list does not flap; a learner serves no clients, and one that is about to be removed because
 * fewer are wanted is not told of any more. Without any word of the list, every
 * place that held a member.
 */
function endpointsOf(record: ClusterRecord, members: readonly PublishedMember[]): PublishedView['endpoints'] {
  const leaving = new Set(record.seats.filter(({ lost }) => lost?.cause === 'surplus').map(({ id }) => id));
  const staying = members.filter(({ seat }) => !leaving.has(seat ?? ''));
  const voters = staying.filter((member) => member.role === 'voter');
  const known = voters.length > 0 ? voters : staying.filter((member) => member.memberId !== null);
  const seats = known.flatMap((member) => record.seats.filter((seat) => seat.id === member.seat));
  return { client: seats.map(clientUrlOf), peer: seats.map(peerUrlOf) };
}

function intentOf(intent: Intent, listed: readonly EtcdMember[]): PublishedView['intent'] {
  const { slot, reason, remove, add } = intent;
  return { slot, reason, step: stepOf(remove?.memberId ?? null, add?.peerUrl ?? null, listed) };
}

/** What a membership change does next, read off the member list as the change itself is. */
function stepOf(removes: string | null, adds: string | null, listed: readonly EtcdMember[]): string {
  const removing = listed.some((member) => member.id === removes);
  const added = adds === null ? undefined : listed.find((member) => member.peerUrls.includes(adds));
  if (added?.isLearner === true) return removing ? 'the learner catches up' : 'the learner is promoted';
  if (removing) return 'the old member is removed';
  return adds !== null && added === undefined ? 'a learner is added' : 'done';
}

function disruptionOf(record: ClusterRecord, disruption: Disruption): PublishedView['disruption'] {
  const { id, kind, slot, by, reason, openedAtMs, forced } = disruption;
  const seat = record.seats.find((one) => one.id === disruption.seat);
  return { id, kind, slot, by, reason, openedAtMs, forced, step: disruptionStepOf(disruption, seat) };
}

function disruptionStepOf({ begun, kind, task }: Disruption, seat: Seat | undefined): string {
  if (!begun) return 'about to begin';
  if (kind === 'defragment') return 'its database is defragmented';
  if (kind === 'move-leader') return 'it hands leadership over';
  if (kind === 'pause') return 'its etcd is stopped';
  if (seat?.task !== task) return 'it starts and catches up';
  return seat.taskEnd === null ? 'its task ends' : 'its task is launched again';
}

function masterUrlOf(master: SchedulerSnapshot['mesos']['master']): string | null {
  const host = master?.address?.ip ?? master?.address?.hostname ?? master?.hostname;
  const port = master?.address?.port ?? master?.port;
  if (host === undefined || port === undefined) return null;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}
