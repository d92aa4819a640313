import {
  type PublishedArchive,
  type PublishedMember,
  type PublishedView,
  publishedViewSchema,
} from '../../src/protocol/view.ts';

/** A view of three members as the scheduler publishes it, `changes` laid over it. */
export function sampleView(changes: Partial<PublishedView> = {}): PublishedView {
  const members = [0, 1, 2].map((index) => sampleMember(index));
  return publishedViewSchema.parse({
    atMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    build: '0.1.0 (source)',
    scheduler: { url: 'http://10.0.0.8:23400', elected: true, terms: 1 },
    framework: { name: 'etcd', id: '3f0b-0000', generation: 2 },
    cluster: '7f2c',
    size: 3,
    epoch: { number: 1, attempt: 1, phase: 'formed', clusterId: 'cdf818194e3a8c32' },
    health: { state: 'healthy', voters: 3, healthyVoters: 3, leader: '8e9e05c52164694d' },
    members,
    endpoints: {
      client: members.map((member) => `http://${member.host}:31001`),
      peer: members.map((member) => `http://${member.host}:31000`),
    },
    intent: null,
    blocked: [],
    warnings: [],
    plans: [],
    uninstall: null,
    mesos: {
      master: 'http://10.0.0.9:5050',
      subscribed: true,
      frameworkId: '3f0b-0000',
      failoverTimeoutMs: 2_419_200_000,
      suppressed: true,
      offersHeld: 0,
      problem: null,
    },
    story: [
      {
        sequence: 1,
        atMs: Date.UTC(2026, 0, 2, 3, 4, 1),
        slot: 'etcd-0',
        text: 'launched',
        reason: 'new cluster',
      },
      {
        sequence: 2,
        atMs: Date.UTC(2026, 0, 2, 3, 4, 3),
        slot: null,
        text: 'cluster formed',
        reason: 'quorum',
      },
    ],
    counters: {
      passes: 40,
      passFailures: 1,
      passMsSum: 2500,
      recordSaves: 9,
      subscriptions: 1,
      offersReceived: 12,
      offersDeclined: 9,
      offersRejected: { cpus: 4, 'hostname UNIQUE': 5 },
      operationsFailed: 0,
      launches: 3,
      taskUpdates: { TASK_RUNNING: 3, TASK_STARTING: 3 },
      tasksFailed: 1,
      orders: { done: 7, failed: 1 },
      quorumLosses: 0,
      intentsClosed: 0,
    },
    ...changes,
  });
}

export function sampleMember(index: number, changes: Partial<PublishedMember> = {}): PublishedMember {
  return {
    slot: `etcd-${index}`,
    seat: `etcd-${index}-a1b2`,
    task: `etcd-${index}__0000-000${index}`,
    agentId: `agent-${index}`,
    hostname: `node-${index}.example`,
    zone: null,
    host: `10.0.0.${index + 1}`,
    ports: { peer: 31_000, client: 31_001, supervisor: 31_002 },
    memberId: ['8e9e05c52164694d', 'fd422379fda50e48', '91bc3c398fb3c146'][index] ?? null,
    role: 'voter',
    phase: 'running',
    nameTask: null,
    paused: null,
    mesosState: 'TASK_RUNNING',
    etcdVersion: '3.5.21',
    leader: index === 0,
    healthy: true,
    revision: '9007199254740993',
    raftTerm: '2',
    raftIndex: '120',
    dbSizeBytes: 20_480,
    dbSizeInUseBytes: 16_384,
    quotaBytes: 2 ** 31,
    alarms: [],
    busy: null,
    problem: null,
    restarts: 0,
    warnings: [],
    ...changes,
  };
}

/** An archive that all is well with, seen at the time of {@link sampleView}. */
export function sampleArchive(changes: Partial<PublishedArchive> = {}): PublishedArchive {
  return {
    place: '/mnt/archive',
    id: '5c1e',
    state: 'following',
    problem: null,
    archivedRevision: '9007199254740993',
    seenRevision: '9007199254740993',
    lagMs: 0,
    waitingBytes: 0,
    spooledBytes: 0,
    lastFull: {
      name: '001767237420000-00000002',
      revision: '9007199254740900',
      startedAtMs: Date.UTC(2026, 0, 1, 3, 17),
      sizeBytes: 20_512,
      verifiedAtMs: Date.UTC(2026, 0, 1, 3, 17, 1),
    },
    fullWanted: null,
    nextFullAtMs: Date.UTC(2026, 0, 2, 3, 17),
    lastProof: { revision: '9007199254740990', atMs: Date.UTC(2026, 0, 2, 3, 0) },
    lastVerification: {
      atMs: Date.UTC(2025, 11, 28, 4, 47),
      revision: '9007199254740000',
      proofsCompared: 12,
      problems: [],
    },
    gaps: [],
    ...changes,
  };
}

/** A slot that waits for a place. */
export function emptySlot(slot: string): PublishedMember {
  return {
    ...sampleMember(0),
    slot,
    seat: null,
    task: null,
    agentId: null,
    hostname: null,
    host: null,
    ports: null,
    memberId: null,
    role: 'none',
    phase: null,
    mesosState: null,
    etcdVersion: null,
    leader: false,
    healthy: false,
    revision: null,
    raftTerm: null,
    raftIndex: null,
    dbSizeBytes: null,
  };
}
