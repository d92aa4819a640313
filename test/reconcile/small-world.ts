import { readPin } from '../../src/protocol/artifact-pin.ts';
import { PROTOCOL_VERSION, peerUrlOf } from '../../src/protocol/launch.ts';
import {
  type EtcdMember,
  type MemberStatus,
  NOTHING_DONE,
  type Probe,
} from '../../src/protocol/member-status.ts';
import { type ClusterRecord, newRecord, type Seat, type TaskEnd } from '../../src/protocol/record.ts';
import type { CommandAnswer } from '../../src/reconcile/command-answers.ts';
import { applyCommand, type OperatorCommand } from '../../src/reconcile/commands.ts';
import { decide } from '../../src/reconcile/decide.ts';
import type { Action, Decision, Want } from '../../src/reconcile/decision.ts';
import type {
  MemberView,
  Observation,
  OfferedSeat,
  Spec,
  Stray,
  TaskEvidence,
} from '../../src/reconcile/observation.ts';
import { nameLaunched, seatPlaced, seatRelaunched, seatReleased } from '../../src/reconcile/seats.ts';

/**
 * A world just big enough to see what `decide` decides: seats come up at once, orders are carried out at once,
 * and etcd's members are counted rather than run. What takes time or fails is set by hand.
 */
export interface SmallMember {
  seat: Seat;
  /** The supervisor answers. */
  up: boolean;
  phase: MemberStatus['phase'];
  identity: MemberStatus['identity'];
  fence: MemberStatus['fence'];
  memberId: string | null;
  applied: bigint;
  /** The highest position that its volume knows of. */
  floor: MemberStatus['floor'];
  dataProblem: MemberStatus['dataProblem'];
  servesPeers: boolean;
  /** The version of the protocol that its supervisor speaks. */
  protocol: number;
  space: MemberStatus['space'];
  /** Its etcd refuses to start: its data is not its peers'. */
  differs: boolean;
  sizeBytes: number;
  inUseBytes: number;
  /** What its data hashes to. */
  hash: number;
}

const SPEC: Spec = {
  size: 3,
  bootstrapWindowMs: 5_000,
  unreachableTimeoutMs: 60_000,
  volumeTimeoutMs: 120_000,
  launchTimeoutMs: 300_000,
  killGraceMs: 10_000,
  compactKeepRevisions: 10_000,
  artifact: 'checkout',
  kept: new Map(),
  etcd: { heartbeatIntervalMs: 100, electionTimeoutMs: 1000, quotaBytes: 2 ** 31, snapshotCount: 10_000 },
  resources: { cpus: 1, memMb: 512, diskMb: 1024 },
  updateStrategy: 'serial',
  updateStepTimeoutMs: 600_000,
};

function blankRecord(size: number): ClusterRecord {
  return newRecord({
    cluster: 'cluster-1',
    framework: { name: 'etcd', id: 'framework-1' },
    size,
    token: 'token-1',
    openedAtMs: 0,
  });
}

export class SmallWorld {
  spec: Spec;
  record: ClusterRecord;
  nowMs = 1_000_000;
  passes = 0;
  /** Members as etcd lists them. */
  listed: EtcdMember[] = [];
  applied = 100n;
  /** As every etcd tells it. */
  clusterVersion = '3.4.0';
  /** Who leads, if it votes and runs; else the first that does. */
  leader: string | null = null;
  /** What an etcd that starts says of its peers. */
  servePeers = true;
  /** Of new seats. */
  storage: Seat['storage'] = 'persistent';
  /** Agents have room to give a seat more. */
  hasRoom = true;
  /** A task that is launched there ends at once. */
  failing: (seat: Seat) => boolean = () => false;
  /** Offers for new seats come. */
  offersFit = true;
  readonly members = new Map<string, SmallMember>();
  readonly tasks = new Map<string, TaskEvidence>();
  readonly offered = new Map<string, OfferedSeat>();
  readonly agentsGone = new Set<string>();
  readonly maintenance = new Map<string, number>();
  /** Tasks that the master has not told of in this subscription. */
  readonly unanswered = new Set<string>();
  strays: Stray[] = [];
  /** For how long those that do not answer have not. */
  silentMs = 1_000;
  /** For how long members that answer have said that they do not serve. */
  notServingMs = 0;
  /** Mesos takes the word to end a task, and it never arrives. */
  killsAreLost = false;
  archive: Observation['archive'] = null;
  alarms: { memberId: string; alarm: string }[] = [];
  /** With its authentication on: to be changed alone, as 3.4 does, or also to tell how it is. */
  asksForUser: 'no' | 'for-changes' | 'always' = 'no';
  /** What a compaction leaves in use. */
  compactedBytes: number | null = null;
  /** Orders to defragment are taken and do not end. */
  rewritesHang = false;
  /** The share of the name task is on offer everywhere. */
  nameShares = false;
  /** `kind` of order → refused with nothing done. */
  readonly refuse = new Set<string>();
  /** What was done, in words, in order. */
  readonly story: string[] = [];
  last: Decision | null = null;

  constructor(size = 3) {
    this.spec = { ...SPEC, size };
    this.record = blankRecord(size);
  }

  observe(elapsedMs: number): Observation {
    this.passes += 1;
    return {
      wallMs: this.nowMs,
      elapsedMs,
      freshId: `${this.passes}`.padStart(8, '0'),
      mesos: {
        subscribed: true,
        unanswered: new Set(this.unanswered),
        tasks: new Map(this.tasks),
        offered: new Map(this.offered),
        agentsGone: new Set(this.agentsGone),
        maintenance: new Map(this.maintenance),
        strays: [...this.strays],
      },
      members: new Map([...this.members].map(([id, member]) => [id, this.view(member)])),
      archive: this.archive,
    };
  }

  /** An operator's command, carried out. */
  tell(command: OperatorCommand): CommandAnswer {
    const { record, answer } = applyCommand(this.record, command, { spec: this.spec, seen: this.observe(0) });
    this.record = record;
    return answer;
  }

  /** One pass: decide, store, act. */
  step(elapsedMs = 100): Decision {
    this.nowMs += elapsedMs;
    const decision = decide(this.spec, this.record, this.observe(elapsedMs));
    this.record = decision.record;
    this.last = decision;
    for (const want of decision.wants) this.fulfil(want);
    for (const action of decision.actions) this.act(action);
    return decision;
  }

  /** Steps until `done`, at most `stepsMax` times; throws what stands in the way. */
  until(done: () => boolean, stepsMax = 60, elapsedMs = 100): void {
    for (let step = 0; step < stepsMax; step += 1) {
      if (done()) return;
      this.step(elapsedMs);
    }
    if (!done())
      throw new Error(`not reached: ${JSON.stringify(this.last?.blocked)}\n${this.story.join('\n')}`);
  }

  isWhole(): boolean {
    const { intent, leaving, seats, size } = this.record;
    const settled = intent === null && leaving.length === 0 && seats.length === size;
    return settled && this.last?.health.state === 'healthy';
  }

  seat(slot: string): Seat {
    const seat = this.record.seats.find((one) => one.slot === slot && one.lost === null);
    if (seat === undefined) throw new Error(`no seat holds ${slot}`);
    return seat;
  }

  member(slot: string): SmallMember {
    const member = this.members.get(this.seat(slot).id);
    if (member === undefined) throw new Error(`${slot} never ran`);
    return member;
  }

  /** The task ended: `standing` says who knows. */
  end(slot: string, standing: TaskEnd['standing'], state = 'TASK_FAILED'): void {
    const seat = this.seat(slot);
    const source = standing === 'ended' ? 'SOURCE_EXECUTOR' : 'SOURCE_MASTER';
    const end = { standing, state, source, reason: '', message: 'ended by the test', atMs: this.nowMs };
    this.tasks.set(seat.task, { kind: 'over', end, agentId: seat.agentId });
    const member = this.member(slot);
    member.up = false;
    if (standing === 'ended' && seat.storage === 'persistent')
      this.offered.set(seat.id, { volume: true, complete: true });
  }

  loseAgent(slot: string): void {
    this.end(slot, 'asserted', 'TASK_GONE_BY_OPERATOR');
    this.agentsGone.add(this.seat(slot).agentId);
  }

  voters(): string[] {
    return this.listed.filter((member) => !member.isLearner).map((member) => member.id);
  }

  private view(member: SmallMember): MemberView {
    if (!member.up)
      return { status: null, ageMs: Number.POSITIVE_INFINITY, failingMs: this.silentMs, notServingMs: 0 };
    return { status: this.status(member), ageMs: 10, failingMs: 0, notServingMs: this.notServingMs };
  }

  private status(member: SmallMember): MemberStatus {
    return {
      protocol: member.protocol,
      build: 'test',
      cluster: this.record.cluster,
      slot: member.seat.slot,
      seat: member.seat.id,
      task: this.record.seats.find((seat) => seat.id === member.seat.id)?.task ?? member.seat.task,
      sequence: this.passes,
      phase: member.phase,
      problem: null,
      dataProblem: member.dataProblem,
      fence: member.fence,
      identity: member.identity,
      floor: member.floor,
      etcd: {
        version: this.versionOf(member),
        pid: 1,
        restarts: 0,
        lastExit: null,
        servesPeers: member.servesPeers,
      },
      probe: member.phase === 'running' && this.asksForUser !== 'always' ? this.probe(member) : null,
      warnings: [],
      busy: null,
      needsUser: this.needsUser(member),
      differs: member.differs,
      space: member.space,
    };
  }

  private versionOf({ seat }: SmallMember): string {
    const pinned = this.record.seats.find((one) => one.id === seat.id)?.pinned ?? seat.pinned;
    return readPin(pinned.artifact).etcd ?? '3.4.23';
  }

  private needsUser(member: SmallMember): MemberStatus['needsUser'] {
    if (member.phase !== 'running' || this.asksForUser === 'no') return null;
    const quorum = this.probe(member).leaderId !== null;
    // Only a quorum's refusal tells of it where all else is told.
    return quorum || this.asksForUser === 'always' ? { quorum } : null;
  }

  private probe(member: SmallMember): Probe {
    const me = this.listed.find((one) => one.id === member.memberId);
    const voters = this.listed.filter((one) => !one.isLearner);
    const running = [...this.members.values()].filter((one) => one.up && one.phase === 'running');
    const voting = running.filter((one) => voters.some((voter) => voter.id === one.memberId));
    const quorum = voting.length > voters.length / 2;
    const candidates = voting.map((one) => one.memberId ?? '').sort();
    const chosen = candidates.find((id) => id === this.leader) ?? candidates[0] ?? null;
    const leader = quorum ? chosen : null;
    return {
      ageMs: 0,
      version: this.versionOf(member),
      clusterVersion: this.clusterVersion,
      clusterId: 'c1',
      memberId: member.memberId ?? '0',
      leaderId: leader,
      isLearner: me?.isLearner ?? true,
      raftTerm: '2',
      raftIndex: member.applied.toString(),
      raftAppliedIndex: member.applied.toString(),
      revision: member.applied.toString(),
      dbSizeBytes: member.sizeBytes,
      dbSizeInUseBytes: member.inUseBytes,
      errors: [],
      alarms: [...this.alarms],
      confirmedMembers: quorum && me?.isLearner === false ? [...this.listed] : null,
      localMembers: [...this.listed],
    };
  }

  private fulfil(want: Want): void {
    if (want.kind === 'release') {
      this.story.push(`release ${want.seat}`);
      this.offered.delete(want.seat);
      this.strays = this.strays.filter(({ seat }) => seat !== want.seat);
      this.record = seatReleased(this.record, want.seat);
      return;
    }
    if (want.kind === 'relaunch') {
      if (!this.offered.has(want.seat)) return;
      this.offered.delete(want.seat);
      const { task, run } = want;
      const resources = this.hasRoom ? want.resources : undefined;
      this.record = seatRelaunched(this.record, want.seat, { task, run, resources, atMs: this.nowMs });
      const member = this.members.get(want.seat);
      if (member === undefined) return;
      this.story.push(`relaunch ${member.seat.slot}`);
      const launched = this.record.seats.find((seat) => seat.id === want.seat);
      if (launched !== undefined && this.failing(launched)) {
        this.end(launched.slot, 'ended');
        return;
      }
      member.up = true;
      if (member.phase === 'running') member.phase = 'stopped';
      this.tasks.set(want.task, {
        kind: 'alive',
        state: 'TASK_RUNNING',
        agentId: member.seat.agentId,
        healthy: true,
      });
      return;
    }
    if (want.kind === 'name') {
      if (!this.nameShares) return;
      this.record = nameLaunched(this.record, want.seat, want.task, this.nowMs);
      this.story.push(`name ${want.seat}`);
      this.tasks.set(want.task, { kind: 'alive', state: 'TASK_RUNNING', agentId: null, healthy: true });
      return;
    }
    if (!this.offersFit) return;
    const number = this.members.size + 1;
    this.record = seatPlaced(
      this.record,
      {
        id: `seat-${number}`,
        slot: want.slot,
        agentId: `agent-${number}`,
        agentAddress: `10.0.0.${number}:5051`,
        hostname: `host-${number}`,
        zone: null,
        region: null,
        attributes: {},
        host: `10.0.0.${number}`,
        ports: { peer: 2380, client: 2379, supervisor: 2378 },
        volumeId: `volume-${number}`,
        storage: this.storage,
        wal: null,
        nameShare: null,
        resources: this.spec.resources,
        task: `${want.slot}__${number}`,
        pinned: want.run,
      },
      this.nowMs,
    );
    this.story.push(`place ${want.slot} on host-${number}`);
    const seat = this.record.seats.at(-1);
    if (seat === undefined) return;
    this.members.set(seat.id, {
      seat,
      up: true,
      phase: 'idle',
      identity: null,
      fence: { epoch: 0, generation: 0 },
      memberId: null,
      applied: 0n,
      floor: null,
      dataProblem: null,
      servesPeers: this.servePeers,
      protocol: PROTOCOL_VERSION,
      space: NOTHING_DONE,
      differs: false,
      sizeBytes: 1_000,
      inUseBytes: 900,
      hash: 7,
    });
    this.tasks.set(seat.task, { kind: 'alive', state: 'TASK_RUNNING', agentId: seat.agentId, healthy: null });
  }

  private act(action: Action): void {
    if (action.kind === 'kill') {
      this.story.push(`kill ${action.task}`);
      if (this.killsAreLost) return;
      const end: TaskEnd = {
        standing: 'ended',
        state: 'TASK_KILLED',
        source: 'SOURCE_EXECUTOR',
        reason: '',
        message: '',
        atMs: this.nowMs,
      };
      this.tasks.set(action.task, { kind: 'over', end, agentId: action.agentId });
      const seats = [...this.record.seats, ...this.record.leaving.map((entry) => entry.seat)];
      const killed = seats.find((seat) => seat.task === action.task);
      if (killed === undefined) return;
      if (killed.storage === 'persistent') this.offered.set(killed.id, { volume: true, complete: true });
      const member = this.members.get(killed.id);
      if (member !== undefined) member.up = false;
      return;
    }
    const member = this.members.get(action.seat.id);
    if (member === undefined || !member.up) return;
    const { body } = action;
    if (this.refuse.has(body.kind)) {
      this.story.push(`${member.seat.slot} refuses ${body.kind}`);
      return;
    }
    this.story.push(
      `${body.kind} ${member.seat.slot}${'memberId' in body.args ? ` ${body.args.memberId}` : ''}`,
    );
    member.fence = { epoch: action.epoch, generation: this.record.generation };
    switch (body.kind) {
      case 'prepare':
        member.phase = 'prepared';
        member.identity = {
          epoch: action.epoch,
          attempt: action.attempt,
          token: body.args.token,
          started: false,
          clusterId: null,
          memberId: null,
        };
        return;
      case 'start':
        if (!member.differs || body.args.unchecked === true)
          this.startEtcd(member, body.args.mode, body.args.initialCluster);
        return;
      case 'member-add':
        if (this.listed.some((one) => one.peerUrls.includes(body.args.peerUrl))) return;
        this.listed.push(this.listing('', body.args.peerUrl, true));
        return;
      case 'member-remove':
        this.listed = this.listed.filter((one) => one.id !== body.args.memberId);
        for (const one of this.members.values()) {
          if (one.memberId === body.args.memberId && one.phase === 'running') one.phase = 'removed';
        }
        return;
      case 'member-promote':
        this.listed = this.listed.map((one) =>
          one.id === body.args.memberId ? { ...one, isLearner: false } : one,
        );
        return;
      case 'fence':
        return;
      case 'stop':
        if (member.phase === 'running') member.phase = 'stopped';
        return;
      case 'move-leader':
        this.leader = body.args.memberId;
        return;
      case 'defragment':
        if (this.rewritesHang) return;
        member.sizeBytes = member.inUseBytes;
        member.space = { ...member.space, defragmented: body.args.run };
        return;
      case 'compact':
        this.story.push(`to revision ${body.args.revision}`);
        for (const one of this.members.values()) one.inUseBytes = this.compactedBytes ?? one.inUseBytes;
        member.space = { ...member.space, compacted: body.args.revision };
        return;
      case 'disarm':
        this.alarms = this.alarms.filter(
          ({ memberId, alarm }) => memberId !== body.args.memberId || alarm !== body.args.alarm,
        );
        return;
      case 'hash-kv': {
        const { hash } = member;
        member.space = {
          ...member.space,
          hash: { hash, revision: body.args.revision, compactRevision: '3' },
        };
        return;
      }
      case 'measure-space':
        return;
    }
  }

  private startEtcd(
    member: SmallMember,
    mode: string,
    initial: readonly { name: string; peerUrl: string }[],
  ): void {
    const url = peerUrlOf(member.seat);
    if (mode === 'bootstrap' && this.listed.length === 0) {
      this.listed = initial.map((one) => this.listing(one.name, one.peerUrl, false));
    }
    const mine = this.listed.find((one) => one.peerUrls.includes(url));
    member.memberId = mine?.id ?? member.memberId;
    this.listed = this.listed.map((one) => (one === mine ? { ...one, name: member.seat.slot } : one));
    if (member.identity !== null) {
      member.identity = { ...member.identity, started: true, clusterId: 'c1', memberId: member.memberId };
    }
    member.differs = false;
    member.phase = 'running';
    member.applied = this.applied;
  }

  private listing(name: string, peerUrl: string, isLearner: boolean): EtcdMember {
    const id = `a${(Number(peerUrl.replace(/\D/g, '')) % 100_000_007).toString(16)}`;
    return { id, name, peerUrls: [peerUrl], clientUrls: [], isLearner };
  }
}
