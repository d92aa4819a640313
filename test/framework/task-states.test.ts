import { describe, expect, it } from 'vitest';
import { EMPTY_VIEW, type MesosView, reduceView } from '../../src/framework/mesos-view.ts';
import {
  nameOfRow,
  REASONS,
  rowOf,
  SOURCES,
  type Source,
  type Standing,
  TASK_STATE_ROWS,
} from '../../src/framework/task-states.ts';
import { parseEvent } from '../../src/mesos/parse-event.ts';
import { type ReceivedTaskStatus, type SchedulerEvent, TASK_STATES } from '../../src/mesos/wire.ts';
import type { TaskEvidence } from '../../src/reconcile/observation.ts';
import {
  createMachines,
  describeAgent,
  type Machines,
  type MachinesOptions,
  scalar,
  type TestAgent,
  type TestScheduler,
} from '../local/mesos-machines.ts';

interface Scene {
  readonly machines: Machines;
  readonly agent: TestAgent;
  readonly scheduler: TestScheduler;
  readonly agentId: string;
  /** Who heard what this is about; another than `scheduler` after a fail-over. */
  heard: TestScheduler;
}

/** Two agents and a scheduler; what the task `t` is to run on is the first. */
function scene(options: MachinesOptions = {}): Scene {
  const machines = createMachines([describeAgent(1), describeAgent(2)], options);
  const [agent] = machines.agents as [TestAgent];
  const scheduler = machines.subscribe();
  return { machines, agent, scheduler, agentId: agent.agentId() ?? '', heard: scheduler };
}

const offerOf = ({ scheduler }: Scene) => {
  const offer = scheduler.offers().find(({ hostname }) => hostname === 'agent-1');
  if (offer === undefined) throw new Error('no offer');
  return offer;
};
const launch = (given: Scene, taskId = 't') => given.scheduler.launch(offerOf(given), taskId);
function run(given: Scene): void {
  launch(given);
  given.agent.runs();
  given.scheduler.acknowledgeAll();
}
const reconcile = (scheduler: TestScheduler, taskId?: string, agentId?: string) => {
  const agent = agentId === undefined ? {} : { agent_id: { value: agentId } };
  const tasks = taskId === undefined ? [] : [{ task_id: { value: taskId }, ...agent }];
  scheduler.call({ type: 'RECONCILE', reconcile: { tasks } });
};
const kill = ({ scheduler }: Scene) =>
  scheduler.call({ type: 'KILL', kill: { task_id: { value: 't' }, kill_policy: {} } });
const partition = ({ machines, agent }: Scene) => {
  agent.paused = true;
  machines.advance(5_000);
};
const drain = ({ machines, agentId }: Scene, markGoneAfter = false) =>
  machines.operator({
    type: 'DRAIN_AGENT',
    drain_agent: { agent_id: { value: agentId }, mark_gone: markGoneAfter },
  });
const markGone = ({ machines, agentId }: Scene) =>
  machines.operator({ type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id: { value: agentId } } });
const exits = (given: Scene, code: number, killed = false) => {
  given.agent.says({ kind: 'exited', code, signal: null, killed });
  given.scheduler.acknowledgeAll();
};

/** A scheduler that took over asks while the agent, whose update was not acknowledged, is out of sight. */
function endUnheard(given: Scene, code: number, killed: boolean): void {
  run(given);
  given.agent.says({ kind: 'exited', code, signal: null, killed });
  given.agent.paused = true;
  given.heard = given.scheduler.failOver();
  reconcile(given.heard);
}

function launchBrokenGroup(given: Scene): void {
  const { agent_id } = offerOf(given);
  const task = { name: 't', task_id: { value: 't' }, agent_id, resources: [scalar('cpus', 1)] };
  const executor = { executor_id: { value: 'pod' }, resources: [] };
  given.scheduler.accept(offerOf(given), [
    { type: 'LAUNCH_GROUP', launch_group: { executor, task_group: { tasks: [task] } } },
  ]);
}

/** How to provoke each row on the local Mesos; the scene's `heard` hears it. */
const DRIVEN: Readonly<Record<string, (given: Scene) => void>> = {
  'TASK_STAGING SOURCE_MASTER REASON_RECONCILIATION': (given) => {
    launch(given);
    reconcile(given.scheduler);
  },
  'TASK_STARTING SOURCE_EXECUTOR none': (given) => {
    launch(given);
    given.agent.says({ kind: 'starting', executorPid: 1 });
  },
  'TASK_STARTING SOURCE_MASTER REASON_RECONCILIATION': (given) => {
    launch(given);
    given.agent.says({ kind: 'starting', executorPid: 1 });
    reconcile(given.scheduler, 't');
  },
  'TASK_RUNNING SOURCE_EXECUTOR none': run,
  'TASK_RUNNING SOURCE_EXECUTOR REASON_TASK_HEALTH_CHECK_STATUS_UPDATED': (given) => {
    run(given);
    given.agent.says({ kind: 'health', healthy: true });
  },
  'TASK_RUNNING SOURCE_EXECUTOR REASON_TASK_CHECK_STATUS_UPDATED': (given) => {
    const check = { type: 'TCP', tcp: { port: 31_000 } } as const;
    given.scheduler.launch(offerOf(given), 't', { check });
    given.agent.runs();
    given.agent.says({ kind: 'check', status: { type: 'TCP', tcp: { succeeded: true } } });
    given.scheduler.acknowledgeAll();
  },
  'TASK_RUNNING SOURCE_MASTER REASON_RECONCILIATION': (given) => {
    run(given);
    reconcile(given.scheduler, 't');
  },
  'TASK_RUNNING SOURCE_MASTER REASON_AGENT_REREGISTERED': (given) => {
    run(given);
    partition(given);
    given.agent.paused = false;
    given.machines.advance(2_000);
  },
  'TASK_KILLING SOURCE_EXECUTOR none': (given) => {
    run(given);
    kill(given);
    given.agent.says({ kind: 'killing', becauseUnhealthy: false });
  },
  'TASK_KILLING SOURCE_MASTER REASON_RECONCILIATION': (given) => {
    run(given);
    kill(given);
    given.agent.says({ kind: 'killing', becauseUnhealthy: false });
    reconcile(given.scheduler, 't');
  },
  'TASK_FINISHED SOURCE_EXECUTOR none': (given) => {
    run(given);
    exits(given, 0);
  },
  'TASK_FAILED SOURCE_EXECUTOR none': (given) => {
    run(given);
    exits(given, 1);
  },
  'TASK_FAILED SOURCE_AGENT REASON_CONTAINER_LAUNCH_FAILED': (given) => {
    launch(given);
    given.agent.says({ kind: 'fetch-failed', message: 'Failed to fetch all URIs' });
  },
  'TASK_FAILED SOURCE_AGENT REASON_EXECUTOR_TERMINATED': (given) => {
    run(given);
    given.agent.says({ kind: 'executor-terminated' });
  },
  'TASK_KILLED SOURCE_EXECUTOR none': (given) => {
    run(given);
    kill(given);
    exits(given, 0, true);
  },
  'TASK_KILLED SOURCE_AGENT REASON_TASK_KILLED_DURING_LAUNCH': (given) => {
    launch(given);
    kill(given);
    exits(given, 0, true);
  },
  'TASK_FINISHED SOURCE_MASTER REASON_RECONCILIATION': (given) => endUnheard(given, 0, false),
  'TASK_FAILED SOURCE_MASTER REASON_RECONCILIATION': (given) => endUnheard(given, 1, false),
  'TASK_KILLED SOURCE_MASTER REASON_RECONCILIATION': (given) => endUnheard(given, 0, true),
  'TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID': (given) => {
    given.scheduler.launch(offerOf(given), 't', { resources: [scalar('cpus', 99)] });
  },
  'TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_INVALID': launchBrokenGroup,
  'TASK_ERROR SOURCE_MASTER REASON_TASK_UNAUTHORIZED': (given) => launch(given),
  'TASK_ERROR SOURCE_MASTER REASON_TASK_GROUP_UNAUTHORIZED': launchBrokenGroup,
  'TASK_DROPPED SOURCE_AGENT REASON_AGENT_DRAINING': (given) => {
    launch(given, 'other');
    given.agent.runs();
    given.machines.advance(1_500);
    const offer = given.scheduler.offers().findLast(({ hostname }) => hostname === 'agent-1');
    // The agent has been told already, the master's next launch is on its way.
    const told = { kind: 'drain', maxGraceMs: null, markGone: false } as const;
    given.agent.tell({ kind: 'message', message: told });
    if (offer !== undefined) given.scheduler.launch(offer, 't');
  },
  'TASK_KILLING SOURCE_EXECUTOR REASON_AGENT_DRAINING': (given) => {
    run(given);
    drain(given);
    given.agent.says({ kind: 'killing', becauseUnhealthy: false });
  },
  'TASK_KILLED SOURCE_EXECUTOR REASON_AGENT_DRAINING': (given) => {
    run(given);
    drain(given);
    exits(given, 0, true);
  },
  'TASK_GONE_BY_OPERATOR SOURCE_EXECUTOR REASON_AGENT_DRAINING': (given) => {
    run(given);
    drain(given, true);
    given.agent.says({ kind: 'killing', becauseUnhealthy: false });
  },
  'TASK_DROPPED SOURCE_MASTER REASON_INVALID_OFFERS': (given) => {
    const { id } = offerOf(given);
    given.scheduler.call({ type: 'DECLINE', decline: { offer_ids: [id] } });
    launch(given);
  },
  'TASK_DROPPED SOURCE_AGENT REASON_RECONCILIATION': (given) => {
    given.agent.paused = true;
    launch(given);
    // What was on its way is lost with the agent's process.
    given.agent.crash();
    given.agent.paused = false;
    given.agent.start();
  },
  'TASK_UNREACHABLE SOURCE_MASTER REASON_AGENT_REMOVED': (given) => {
    run(given);
    partition(given);
  },
  'TASK_UNREACHABLE SOURCE_MASTER REASON_RECONCILIATION': (given) => {
    run(given);
    partition(given);
    reconcile(given.scheduler, 't', given.agentId);
  },
  'TASK_GONE SOURCE_MASTER REASON_RECONCILIATION': (given) => reconcile(given.scheduler, 't', given.agentId),
  'TASK_GONE_BY_OPERATOR SOURCE_MASTER REASON_AGENT_REMOVED_BY_OPERATOR': (given) => {
    run(given);
    markGone(given);
  },
  'TASK_GONE_BY_OPERATOR SOURCE_MASTER REASON_RECONCILIATION': (given) => {
    run(given);
    markGone(given);
    reconcile(given.scheduler, 't', given.agentId);
  },
  'TASK_LOST SOURCE_MASTER REASON_AGENT_REMOVED': (given) => {
    run(given);
    given.agent.tell({ kind: 'shutdown' });
  },
  'TASK_UNKNOWN SOURCE_MASTER REASON_RECONCILIATION': (given) => reconcile(given.scheduler, 't'),
};

const REST = 'what is left for a state or reason that Mesos does not send together today';
const LIMITS = 'the local Mesos enforces no limits';
const NOT_AGENTS = 'the local agent has no such helper process or time limit of its own';
const ACLS = 'the local agents have no ACLs';
const RACE = 'the local master decides and sends at once: there is no such moment';

/** What the local Mesos cannot be brought to send: such a status is put on the wire, for the reason given. */
const INJECTED: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    TASK_STATE_ROWS.filter(({ reason }) => reason === 'any').map((row) => [nameOfRow(row), REST]),
  ),
  'TASK_FAILED SOURCE_AGENT REASON_EXECUTOR_REGISTRATION_TIMEOUT': NOT_AGENTS,
  'TASK_FAILED SOURCE_AGENT REASON_IO_SWITCHBOARD_EXITED': NOT_AGENTS,
  'TASK_FAILED SOURCE_AGENT REASON_CONTAINER_LIMITATION_MEMORY': LIMITS,
  'TASK_FAILED SOURCE_AGENT REASON_CONTAINER_LIMITATION_DISK': LIMITS,
  'TASK_FAILED SOURCE_AGENT REASON_CONTAINER_LIMITATION': LIMITS,
  'TASK_FAILED SOURCE_EXECUTOR REASON_MAX_COMPLETION_TIME_REACHED': LIMITS,
  'TASK_KILLED SOURCE_MASTER REASON_TASK_KILLED_DURING_LAUNCH': RACE,
  'TASK_KILLED SOURCE_MASTER REASON_FRAMEWORK_REMOVED': 'the stream ends before it',
  'TASK_ERROR SOURCE_AGENT REASON_TASK_UNAUTHORIZED': ACLS,
  'TASK_ERROR SOURCE_AGENT REASON_TASK_GROUP_UNAUTHORIZED': ACLS,
  'TASK_DROPPED SOURCE_MASTER REASON_AGENT_DISCONNECTED': RACE,
  'TASK_DROPPED SOURCE_MASTER REASON_AGENT_REMOVED': RACE,
  'TASK_DROPPED SOURCE_AGENT REASON_RESOURCES_UNKNOWN': RACE,
  'TASK_DROPPED SOURCE_AGENT REASON_AGENT_RESTARTED': RACE,
  'TASK_DROPPED SOURCE_AGENT REASON_EXECUTOR_TERMINATED': RACE,
  'TASK_DROPPED SOURCE_AGENT REASON_GC_ERROR': 'the local agent collects no directory that is in use',
  'TASK_DROPPED SOURCE_AGENT REASON_INVALID_OFFERS': RACE,
  'TASK_GONE SOURCE_AGENT REASON_EXECUTOR_REREGISTRATION_TIMEOUT': NOT_AGENTS,
  'TASK_GONE SOURCE_AGENT REASON_CONTAINER_PREEMPTED': 'the local agent has no oversubscription',
  'TASK_GONE SOURCE_AGENT REASON_CONTAINER_UPDATE_FAILED': 'nothing changes a container of the local agent',
};

const time = { wallMs: 1, monotonicMs: 1 };

/** What the scheduler knows after it has heard these events, as they come over the wire. */
function viewAfter(events: readonly SchedulerEvent[], before: MesosView = EMPTY_VIEW): MesosView {
  return events.reduce((view, sent) => {
    const event = parseEvent(Buffer.from(JSON.stringify(sent)));
    if (event.type === 'SUBSCRIBED' || event.type === 'HEARTBEAT') return view;
    return reduceView(view, { kind: 'event', event }, time);
  }, before);
}

const rowNameOf = ({ state, source = 'SOURCE_MASTER', reason = '' }: ReceivedTaskStatus): string => {
  const row = rowOf(state, source as Source, reason);
  return row === null ? 'none' : nameOfRow(row);
};

function standingOf(evidence: TaskEvidence | undefined): Standing {
  if (evidence === undefined) return 'ignored';
  return evidence.kind === 'over' ? evidence.end.standing : evidence.kind;
}

const update = (status: Partial<ReceivedTaskStatus>): SchedulerEvent => ({
  type: 'UPDATE',
  update: {
    status: { task_id: { value: 't' }, state: 'TASK_RUNNING', agent_id: { value: 'S0' }, ...status },
  },
});

describe('every row of the table', () => {
  const rows = new Map(TASK_STATE_ROWS.map((row) => [nameOfRow(row), row]));

  it('is driven or injected, and there is no other', () => {
    expect([...Object.keys(DRIVEN), ...Object.keys(INJECTED)].sort()).toEqual([...rows.keys()].sort());
  });

  it.each(Object.entries(DRIVEN))('%s: is sent by the local Mesos, and understood', (name, drive) => {
    const given = scene(
      name.includes('UNAUTHORIZED') ? { authorize: (action) => action !== 'run_tasks' } : {},
    );
    drive(given);
    const { events } = given.heard;
    const at = events.findIndex(
      (event) => event.type === 'UPDATE' && rowNameOf(event.update.status) === name,
    );
    expect(given.heard.updates().map(rowNameOf)).toContain(name);
    const evidence = viewAfter(events.slice(0, at + 1)).tasks.get('t');
    expect(standingOf(evidence)).toBe(rows.get(name)?.standing);
  });

  it.each(Object.entries(INJECTED))('%s: is understood (%s)', (name) => {
    const row = rows.get(name);
    if (row === undefined) throw new Error('no such row');
    for (const source of row.sources) {
      const own = row.reason === 'any' ? { reason: 'REASON_NEWER_THAN_THIS' } : { reason: row.reason };
      const reason = row.reason === 'none' ? {} : own;
      const status = { state: row.state, source, ...reason, uuid: 'dXVpZA==' };
      expect(rowNameOf({ task_id: { value: 't' }, ...status })).toBe(name);
      const view = viewAfter([update(status)]);
      expect(standingOf(view.tasks.get('t'))).toBe(row.standing);
      expect(view.acks).toHaveLength(1);
    }
  });
});

describe('the table', () => {
  it('has a meaning for every state from every source, whatever the reason', () => {
    const reasons = ['', ...Object.keys(REASONS), 'REASON_NEWER_THAN_THIS'];
    for (const state of TASK_STATES)
      for (const source of SOURCES)
        for (const reason of reasons)
          expect(rowOf(state, source, reason), `${state} ${source}`).not.toBeNull();
  });

  it('never takes the master’s word for an end', () => {
    for (const row of TASK_STATE_ROWS) {
      if (row.sources.includes('SOURCE_MASTER')) expect(row.standing, nameOfRow(row)).not.toBe('ended');
    }
  });

  it('has no row that another one hides', () => {
    for (const row of TASK_STATE_ROWS) {
      for (const source of row.sources) {
        const reason = row.reason === 'none' ? '' : row.reason;
        const found = rowOf(row.state, source, reason === 'any' ? 'REASON_NEWER_THAN_THIS' : reason);
        expect(found, nameOfRow(row)).toBe(row);
      }
    }
  });
});

describe('a state that is newer than this version', () => {
  it('is acknowledged, counted, and takes nothing away that was known', () => {
    const said = { source: 'SOURCE_EXECUTOR', uuid: 'dXVpZA==' };
    const view = viewAfter([update({ ...said, state: 'TASK_HIBERNATING', uuid: 'bmV3ZXI=' })]);
    expect(view.tasks.size).toBe(0);
    expect(view.answered.size).toBe(0);
    expect(view.acks).toMatchObject([{ taskId: 't', uuid: 'bmV3ZXI=' }]);
    expect(view.counts.taskUpdates).toEqual({ TASK_HIBERNATING: 1 });
    const after = viewAfter([update({ ...said, state: 'TASK_RUNNING' })]);
    const then = viewAfter([update({ ...said, state: 'TASK_HIBERNATING' })], after);
    expect(then.tasks.get('t')).toMatchObject({ kind: 'alive', state: 'TASK_RUNNING' });
  });

  it('counts as the master’s where its source is newer too', () => {
    const view = viewAfter([update({ state: 'TASK_FAILED', source: 'SOURCE_SOMEBODY' })]);
    expect(view.tasks.get('t')).toMatchObject({ kind: 'over', end: { standing: 'asserted' } });
  });
});

describe('what happens on a production Mesos', () => {
  const drive = (name: string, given: Scene): void => DRIVEN[name]?.(given);
  const standings = (given: Scene): readonly string[] => {
    const told: string[] = [];
    given.scheduler.events.reduce((view, event) => {
      const next = viewAfter([event], view);
      if (event.type === 'UPDATE') told.push(standingOf(next.tasks.get('t')));
      return next;
    }, EMPTY_VIEW);
    return told;
  };

  it.each<[string, (given: Scene) => void, Standing]>([
    ['a process that exits with 1', (given) => drive('TASK_FAILED SOURCE_EXECUTOR none', given), 'ended'],
    [
      'a process that is killed by a signal',
      (given) => {
        run(given);
        given.agent.says({ kind: 'exited', code: null, signal: 'SIGSEGV', killed: false });
      },
      'ended',
    ],
    [
      'a kill of a task that nobody knows',
      (given) => {
        kill(given);
      },
      'asserted',
    ],
    [
      'a launch on more than was offered',
      (given) => drive('TASK_ERROR SOURCE_MASTER REASON_TASK_INVALID', given),
      'never-ran',
    ],
    [
      'a launch under a bad id',
      ({ scheduler, ...rest }) => {
        scheduler.launch(offerOf({ scheduler, ...rest }), 't', { command: {} });
      },
      'never-ran',
    ],
    [
      'a second launch under the id of a task that runs: the task goes on',
      (given) => {
        run(given);
        given.machines.advance(1_500);
        const offer = given.scheduler.offers().findLast(({ hostname }) => hostname === 'agent-1');
        if (offer === undefined) throw new Error('no offer');
        given.scheduler.launch(offer, 't');
      },
      'alive',
    ],
    [
      'an agent that was unreachable and is back',
      (given) => drive('TASK_RUNNING SOURCE_MASTER REASON_AGENT_REREGISTERED', given),
      'alive',
    ],
    [
      'an agent whose process was restarted',
      (given) => {
        run(given);
        given.agent.crash();
        given.agent.start();
        reconcile(given.scheduler, 't', given.agentId);
      },
      'alive',
    ],
    [
      'a host that was rebuilt at the same address',
      (given) => {
        run(given);
        given.agent.crash();
        given.agent.wipe();
        given.agent.start();
      },
      'asserted',
    ],
    [
      'an end that was proven and is denied later',
      (given) => {
        run(given);
        exits(given, 1);
        reconcile(given.scheduler, 't', given.agentId);
      },
      'ended',
    ],
    [
      'a master that was restarted: its agents tell it',
      (given) => {
        run(given);
        given.machines.restartMaster();
      },
      'alive',
    ],
  ])('%s', (_, happen, standing) => {
    const given = scene();
    happen(given);
    expect(standings(given).at(-1)).toBe(standing);
  });
});
