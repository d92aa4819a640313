import { type Authorizer, createAuthorizer, parseAcls } from '../../src/local/acls.ts';
import { createBasicAuthenticator, type MasterAuthentication } from '../../src/local/authentication.ts';
import type { ContainerEvent } from '../../src/local/container-runtime.ts';
import type { AgentDescription } from '../../src/local/messages.ts';
import type { DomainInfo, Resource } from '../../src/mesos/wire.ts';

/**
 * What happened around each recorded conversation: which agents there were, what the processes of their tasks
 * did, what was done to the agents. Written down from the recordings' notes, commands and times, so that the
 * recordings themselves are only ever compared with.
 */
export interface ServerScript {
  /** In the order in which they registered. */
  readonly agents: readonly ScriptedAgent[];
  readonly masterDomain?: DomainInfo;
  /** Default: one, on 5050. The first leads to begin with. */
  readonly masterPorts?: readonly number[];
  /** Default: nobody has to say who they are. */
  readonly authentication?: MasterAuthentication;
  /** By scheduler: its `Authorization` header, which the recordings do not have. */
  readonly credentials?: Readonly<Record<string, string>>;
  readonly authorize?: Authorizer;
  /** What becomes of the masters; an agent follows the leader. */
  readonly elections?: readonly Election[];
  /** From when on which master is asked, by its index; the first until then. */
  readonly asked?: readonly { readonly fromMs: number; readonly master: number }[];
  readonly tasks?: Readonly<Record<string, readonly TaskStep[]>>;
  readonly actions?: readonly AgentAction[];
}

export interface ScriptedAgent {
  readonly description: AgentDescription;
  /** Recorded time of its registration; what matters is only that its pings start then. */
  readonly registeredMs: number;
}

export interface Election {
  readonly t: number;
  readonly master: number;
  readonly what: 'killed' | 'elected';
}

/** What a task's container does at a recorded time. */
export interface TaskStep {
  readonly t: number;
  readonly event: ContainerEvent | 'fetch-failed';
  /** It does so only because the agent had told it to end, with this grace. */
  readonly killedGraceMs?: number;
}

export interface AgentAction {
  readonly t: number;
  readonly hostname: string;
  /**
   * `pause` and `resume`: SIGSTOP, SIGCONT. `kill`: the agent's process, not its tasks. `start`: on its work
   * directory. `start-empty`: after that was emptied. `shut-down`: SIGUSR1.
   */
  readonly what: 'pause' | 'resume' | 'kill' | 'start' | 'start-empty' | 'shut-down';
}

const scalar = (name: string, value: number): Resource => ({ name, type: 'SCALAR', scalar: { value } });
const ports = (begin: number, end: number): Resource => ({
  name: 'ports',
  type: 'RANGES',
  ranges: { range: [{ begin, end }] },
});

function agent(number: number, registeredMs: number): ScriptedAgent {
  const first = 30_000 + number * 1000;
  return {
    registeredMs,
    description: {
      hostname: `agent-${number}.example`,
      ip: '127.0.0.1',
      port: 5050 + number,
      resources: [scalar('cpus', 4), scalar('mem', 4096), scalar('disk', 10_240), ports(first, first + 99)],
      attributes: [
        { name: 'zone', type: 'TEXT', text: { value: `z${number}` } },
        { name: 'rack', type: 'TEXT', text: { value: `r${number}` } },
      ],
      domain: null,
    },
  };
}

/** All of them registered in the 300 ms before the first scheduler came, in this order. */
const agents = (...numbers: readonly number[]) => numbers.map((number, index) => agent(number, 300 + index));

function at(t: number, event: ContainerEvent | 'fetch-failed', killedGraceMs?: number): TaskStep {
  return killedGraceMs === undefined ? { t, event } : { t, event, killedGraceMs };
}
const starting = (t: number) => at(t, { kind: 'starting', executorPid: 4000 + t });
const running = (t: number, startedAt: number) => at(t, { kind: 'running', executorPid: 4000 + startedAt });
const started = (first: number, second: number) => [starting(first), running(second, first)];
const health = (t: number, healthy: boolean) => at(t, { kind: 'health', healthy });
const exited = (t: number, code: number) => at(t, { kind: 'exited', code, signal: null, killed: false });
const signalled = (t: number, signal: string) => at(t, { kind: 'exited', code: null, signal, killed: false });
const killed = (killing: number, end: number, signal: string, graceMs: number) => [
  at(killing, { kind: 'killing', becauseUnhealthy: false }, graceMs),
  at(end, { kind: 'exited', code: null, signal, killed: true }, graceMs),
];

/** Of a task in a group its process is known once it runs, or, by chance, a little earlier. */
const startedInGroup = (first: number, second: number, knownPid: number | null = null) => [
  at(first, { kind: 'starting', executorPid: knownPid }),
  at(second, { kind: 'running', executorPid: knownPid ?? 4000 + second }),
];
/** Ended by its executor because another of its group had ended. */
const died = (killing: number, end: number, signal: string) => [
  at(killing, { kind: 'killing', becauseUnhealthy: false }),
  at(end, { kind: 'exited', code: null, signal, killed: true }),
];

const domain = (zone: string): DomainInfo => ({
  fault_domain: { region: { name: 'r1' }, zone: { name: zone } },
});

function basic(principal: string, secret: string): string {
  return `Basic ${Buffer.from(`${principal}:${secret}`).toString('base64')}`;
}

export const SERVER_SCRIPTS: Readonly<Record<string, ServerScript>> = {
  '01-subscribe-offers-decline': { agents: agents(1, 2, 3) },
  '02-launch-update-kill': {
    agents: agents(2, 1, 3),
    tasks: {
      // `exec python3 -m http.server`, killed with its own policy of 5 s.
      'etcd-0__1': [...started(580, 588), health(1772, true), ...killed(1800, 1874, 'SIGTERM', 5000)],
      // `trap "" TERM; …`, killed with the call's policy of 2 s.
      stubborn__1: [...started(2057, 2066), ...killed(3075, 6171, 'SIGKILL', 2000)],
    },
  },
  '03-task-failures': {
    agents: agents(3, 2, 1),
    tasks: {
      exit1__1: [...started(608, 616), exited(798, 1)],
      exit0__1: [...started(1115, 1130), exited(1301, 0)],
      selfkill__1: [...started(1521, 1528), signalled(1709, 'SIGKILL')],
      nofetch__1: [at(2159, 'fetch-failed')],
      sick__1: [
        ...started(2569, 2584),
        health(2671, false),
        health(3284, false),
        at(3288, { kind: 'killing', becauseUnhealthy: true }),
        at(3384, { kind: 'exited', code: null, signal: 'SIGTERM', killed: true }),
      ],
      victim__1: [...started(3762, 3770), signalled(3941, 'SIGKILL')],
      orphan__1: [...started(4158, 4173), at(4297, { kind: 'executor-terminated' })],
    },
  },
  '04-reservations-and-volumes': {
    agents: agents(1, 2, 3),
    tasks: {
      vol__1: [...started(601, 605), exited(4710, 0)],
      vol__2: [...started(4913, 4920), exited(5107, 0)],
    },
  },
  '05-reconcile': { agents: agents(2, 3, 1), tasks: { r__1: started(581, 588) } },
  '06-scheduler-failover': { agents: agents(1, 3, 2), tasks: { f__1: started(609, 618) } },
  '07-bad-calls': { agents: agents(1), tasks: { dup: started(2713, 2721) } },
  '08-agent-lost-and-back': {
    agents: [agent(1, 299), agent(3, 300), agent(2, 301)],
    tasks: { lost__1: started(626, 632) },
    actions: [
      { t: 1133, hostname: 'agent-1.example', what: 'pause' },
      { t: 4320, hostname: 'agent-1.example', what: 'resume' },
      { t: 4345, hostname: 'agent-1.example', what: 'kill' },
      { t: 7500, hostname: 'agent-1.example', what: 'start' },
    ],
  },
  '09-agent-shutdown': {
    agents: agents(2, 3, 1),
    tasks: { bye__1: started(749, 781) },
    actions: [{ t: 1090, hostname: 'agent-2.example', what: 'shut-down' }],
  },
  '10-maintenance-and-drain': {
    agents: agents(3, 2, 1),
    // What the drain allows is in a field that Mesos does not know: no time at all.
    tasks: { m__1: [...started(768, 782), ...killed(2668, 2695, 'SIGTERM', 0)] },
  },
  '11-authentication': {
    agents: agents(1),
    authentication: {
      authenticate: createBasicAuthenticator(new Map([['etcd-principal', 'secret']])),
      realms: new Set(['scheduler', 'readonly', 'readwrite']),
    },
    credentials: {
      b: basic('etcd-principal', 'wrong'),
      c0: basic('etcd-principal', 'secret'),
      c: basic('etcd-principal', 'secret'),
    },
  },
  '12-master-failover-zookeeper': {
    masterPorts: [5050, 5060],
    agents: agents(1, 2),
    tasks: { ha__1: started(8552, 8557) },
    asked: [
      { fromMs: 8306, master: 1 },
      { fromMs: 8320, master: 0 },
      { fromMs: 9067, master: 1 },
    ],
    elections: [
      { t: 9060, master: 0, what: 'killed' },
      { t: 13_300, master: 1, what: 'elected' },
    ],
  },
  '13-default-executor-task-group': {
    agents: agents(1),
    tasks: {
      node__1: [
        ...startedInGroup(650, 691),
        at(1050, { kind: 'killing', becauseUnhealthy: false, containerIsGone: true }, 3000),
        at(1060, { kind: 'exited', code: null, signal: 'SIGTERM', killed: true }, 3000),
      ],
      side__1: [...startedInGroup(688, 696, 4696), ...died(1098, 1190, 'SIGTERM')],
      'pod-0': [at(1345, { kind: 'executor-ended', status: 0 })],
    },
  },
  '14-unacknowledged-updates': {
    agents: agents(1),
    // `sleep 1`.
    tasks: { noack__1: [...started(774, 778), exited(1790, 0)] },
  },
  '15-pod-with-volume-two-groups': {
    agents: agents(1),
    tasks: {
      'etcd-0__1': [...startedInGroup(790, 855), ...killed(3325, 3380, 'SIGTERM', 3000)],
      'etcd-0-client__1': [...startedInGroup(1620, 1628, 5628), ...killed(1710, 1770, 'SIGTERM', 3000)],
      'etcd-0__pod-1': [at(3435, { kind: 'executor-ended', status: 0 })],
    },
  },
  '16-failover-timeout-expires': { agents: agents(1), tasks: { x__1: started(563, 573) } },
  '17-suppressed-at-subscribe-and-update-framework': { agents: agents(1) },
  '18-mount-disks-zones-and-prereserved-roles': {
    masterDomain: domain('z1'),
    agents: [
      {
        registeredMs: 2600,
        description: {
          ...agent(1, 0).description,
          resources: [
            scalar('cpus', 4),
            scalar('mem', 4096),
            scalar('disk', 10_240),
            {
              ...scalar('disk', 5000),
              disk: { source: { type: 'MOUNT', mount: { root: '/var/lib/mesos/disk1' } } },
            },
            ports(31_000, 31_010),
            { ...scalar('cpus', 1), reservations: [{ type: 'STATIC', role: 'storage' }] },
          ],
          domain: domain('z2'),
        },
      },
    ],
  },
  '19-failed-operations': { agents: agents(1), tasks: { user__1: started(3907, 3916) } },
  '20-agent-comes-back-with-an-empty-work-dir': {
    agents: agents(1, 2),
    tasks: { reborn__1: started(571, 579) },
    actions: [
      { t: 880, hostname: 'agent-1.example', what: 'kill' },
      { t: 1020, hostname: 'agent-1.example', what: 'start-empty' },
    ],
  },
  '21-member-and-client-name-tasks': {
    agents: agents(1),
    tasks: { 'etcd-0-client__1': started(585, 593), 'etcd-0__1': started(586, 606) },
  },
  '22-authorization': {
    agents: agents(1),
    authorize: createAuthorizer(
      parseAcls(
        JSON.stringify({
          register_frameworks: [
            { principals: { values: ['etcd-principal'] }, roles: { values: ['etcd'] } },
            { principals: { type: 'ANY' }, roles: { type: 'NONE' } },
          ],
          reserve_resources: [{ principals: { type: 'ANY' }, roles: { type: 'NONE' } }],
          run_tasks: [{ principals: { type: 'NONE' }, users: { values: ['root'] } }],
        }),
      ),
    ),
  },
  '23-tcp-check-that-never-kills': {
    agents: agents(1),
    tasks: {
      tcp__1: [
        ...started(852, 859),
        ...[936, 2042, 3049, 4155].map((t) => health(t, false)),
        health(5264, true),
        ...[9396, 10_504, 11_609].map((t) => health(t, false)),
      ],
    },
  },
  '24-children-of-a-killed-supervisor': {
    agents: agents(1),
    tasks: {
      plain__1: [...started(544, 550), signalled(2135, 'SIGKILL')],
      pact__1: [...started(7321, 7332), signalled(8921, 'SIGKILL')],
    },
  },
};
