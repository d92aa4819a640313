import type { Offer } from '../mesos/wire.ts';
import { markAgentGone } from './agent-loss.ts';
import { removeFramework } from './master-frameworks.ts';
import {
  type Agent,
  type Framework,
  type Master,
  offeredIn,
  offersOn,
  pidOfAgent,
  type Task,
  usedByFramework,
  usedOn,
} from './master-state.ts';
import { AGENT_CAPABILITIES, MESOS_BUILD } from './mesos-build.ts';
import type { AgentDescription } from './messages.ts';
import { withRole } from './resource-views.ts';
import type { Resources } from './resources.ts';

/** The answer to an operator's call: JSON, an empty 200, or a refusal. */
export type OperatorAnswer =
  | { readonly kind: 'json'; readonly body: unknown }
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly status: 400 | 404; readonly message: string }
  | { readonly kind: 'unsupported'; readonly what: string };

/** Answers one call of the v1 operator API. */
export function answerOperator(master: Master, call: unknown): OperatorAnswer {
  const {
    type,
    mark_agent_gone: gone,
    teardown,
  } = (typeof call === 'object' && call !== null ? call : {}) as OperatorCall;
  switch (type) {
    case 'GET_HEALTH':
      return json(type, { healthy: true });
    case 'GET_VERSION':
      return json(type, { version_info: MESOS_BUILD });
    case 'GET_AGENTS':
      return json(type, {
        agents: newestFirst(master.agents).map((agent) => showAgent(master, agent)),
        recovered_agents: [...master.recoveredAgents].map(([id, description]) =>
          showAgentInfo(id, description),
        ),
      });
    case 'GET_FRAMEWORKS':
      return json(type, {
        frameworks: newestFirst(master.frameworks).map((framework) => showFramework(master, framework)),
        completed_frameworks: newestFirst(master.completedFrameworks).map((framework) =>
          showFramework(master, framework),
        ),
      });
    case 'GET_TASKS':
      return json(type, showTasks(master));
    case 'MARK_AGENT_GONE':
      return markGone(master, gone);
    case 'TEARDOWN':
      return tearDown(master, teardown);
    default:
      return typeof type === 'string' && /^[A-Z_]+$/.test(type)
        ? { kind: 'unsupported', what: `the operator's call ${type}` }
        : refuse(400, "Failed to validate master::Call: Expecting 'type' to be present");
  }
}

interface OperatorCall {
  readonly type?: unknown;
  readonly mark_agent_gone?: { readonly agent_id?: { readonly value?: unknown } };
  readonly teardown?: { readonly framework_id?: { readonly value?: unknown } };
}

function markGone(master: Master, body: OperatorCall['mark_agent_gone']): OperatorAnswer {
  const agentId = body?.agent_id?.value;
  if (typeof agentId !== 'string') {
    return refuse(400, "Failed to validate master::Call: Expecting 'mark_agent_gone' to be present");
  }
  // Saying it twice is no mistake.
  if (master.goneAgents.has(agentId) || markAgentGone(master, agentId)) return { kind: 'done' };
  return refuse(404, `Agent '${agentId}' not found`);
}

function tearDown(master: Master, body: OperatorCall['teardown']): OperatorAnswer {
  const framework = master.frameworks.get(String(body?.framework_id?.value));
  if (framework === undefined) return refuse(400, 'No framework found with specified ID');
  removeFramework(master, framework);
  return { kind: 'done' };
}

/** `GET_TASKS` names its answer `get_tasks`. */
function json(type: string, body: unknown): OperatorAnswer {
  return { kind: 'json', body: { type, [type.toLowerCase()]: body } };
}

function refuse(status: 400 | 404, message: string): OperatorAnswer {
  return { kind: 'refused', status, message };
}

/** In the order of the recordings, which a real master's hash maps happen to have. */
export function newestFirst<Value>(entries: ReadonlyMap<string, Value>): readonly Value[] {
  return [...entries.values()].reverse();
}

function showAgentInfo(id: string, { hostname, port, resources, attributes, domain }: AgentDescription) {
  return {
    hostname,
    port,
    resources,
    ...(attributes.length === 0 ? {} : { attributes }),
    id: { value: id },
    ...(domain === null ? {} : { domain }),
    checkpoint: true,
  };
}

function showAgent(master: Master, agent: Agent) {
  return {
    agent_info: showAgentInfo(agent.id, agent.description),
    active: agent.link !== null,
    deactivated: false,
    version: MESOS_BUILD.version,
    pid: pidOfAgent(agent.description),
    registered_time: nanoseconds(agent.registeredWallMs),
    ...(agent.reregisteredWallMs === null
      ? {}
      : { reregistered_time: nanoseconds(agent.reregisteredWallMs) }),
    ...showResources('total_resources', agent.total),
    ...showResources('allocated_resources', usedOn(master, agent)),
    ...showResources('offered_resources', offeredIn(offersOn(master, agent.id))),
    capabilities: AGENT_CAPABILITIES.map((type) => ({ type })),
  };
}

function showFramework(master: Master, framework: Framework) {
  const offers = [...master.offers.values()].filter(({ frameworkId }) => frameworkId === framework.id);
  const shown: readonly Offer[] = offers.map(({ offer }) => offer).reverse();
  const isOver = framework.unregisteredWallMs !== null;
  return {
    framework_info: framework.info,
    active: framework.stream !== null,
    connected: framework.stream !== null,
    recovered: framework.recovered,
    registered_time: nanoseconds(framework.registeredWallMs),
    reregistered_time: nanoseconds(framework.reregisteredWallMs),
    ...(isOver ? { unregistered_time: nanoseconds(framework.unregisteredWallMs ?? 0) } : {}),
    ...(shown.length === 0 ? {} : { offers: shown }),
    ...showResources('allocated_resources', usedByFramework(master, framework)),
    ...showResources('offered_resources', offeredIn(offers)),
    offer_constraints: {},
  };
}

function showTasks(master: Master) {
  const frameworks = newestFirst(master.frameworks);
  const all = [...frameworks, ...newestFirst(master.completedFrameworks)];
  return {
    tasks: frameworks.flatMap(({ tasks }) => newestFirst(tasks).map(showTask)),
    unreachable_tasks: frameworks.flatMap(({ unreachableTasks }) =>
      newestFirst(unreachableTasks).map(showTask),
    ),
    completed_tasks: all.flatMap(({ completedTasks }) => [...completedTasks].reverse().map(showTask)),
  };
}

function showTask(task: Task) {
  const { name, task_id, resources, labels, discovery, health_check, kill_policy } = task.info;
  return {
    name,
    task_id,
    framework_id: { value: task.frameworkId },
    ...(task.executorId === null ? {} : { executor_id: { value: task.executorId } }),
    agent_id: { value: task.agentId },
    state: task.state,
    resources,
    statuses: task.statuses,
    ...(task.updateState === null ? {} : { status_update_state: task.updateState }),
    ...(task.updateUuid === null ? {} : { status_update_uuid: task.updateUuid }),
    ...(labels === undefined ? {} : { labels }),
    ...(discovery === undefined ? {} : { discovery }),
    ...(health_check === undefined ? {} : { health_check }),
    ...(kill_policy === undefined ? {} : { kill_policy }),
  };
}

function showResources(field: string, resources: Resources) {
  return resources.length === 0 ? {} : { [field]: resources.map(withRole) };
}

function nanoseconds(wallMs: number) {
  return { nanoseconds: wallMs * 1e6 };
}
