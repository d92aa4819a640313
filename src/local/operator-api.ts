import type { Offer } from '../mesos/wire.ts';
import { markAgentGone } from './agent-loss.ts';
import { deactivateAgent, drainAgent, reactivateAgent, showDrain } from './drain.ts';
import {
  showMaintenance,
  showSchedule,
  startMaintenance,
  stopMaintenance,
  updateSchedule,
} from './maintenance.ts';
import { removeFramework } from './master-frameworks.ts';
import {
  type Agent,
  type Framework,
  isActive,
  type Master,
  newestFirst,
  offeredIn,
  offersOn,
  pidOfAgent,
  type Task,
  usedByFramework,
  usedOn,
} from './master-state.ts';
import { AGENT_CAPABILITIES, MESOS_BUILD } from './mesos-build.ts';
import type { AgentDescription } from './messages.ts';
import { DONE, FORBIDDEN, json, malformed, type OperatorAnswer, refuse } from './operator-answer.ts';
import { withRole } from './resource-views.ts';
import type { Resources } from './resources.ts';

/**
 * Answers one call of the v1 operator API.
 * @param principal who asks; `null` where nobody has to say
 */
export function answerOperator(master: Master, call: unknown, principal: string | null): OperatorAnswer {
  const given = (typeof call === 'object' && call !== null ? call : {}) as OperatorCall;
  const { type } = given;
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
        frameworks: viewed(master, principal, master.frameworks).map((framework) =>
          showFramework(master, framework),
        ),
        completed_frameworks: viewed(master, principal, master.completedFrameworks).map((framework) =>
          showFramework(master, framework),
        ),
      });
    case 'GET_TASKS':
      return json(type, showTasks(master, principal));
    case 'MARK_AGENT_GONE':
      if (!master.config.authorize('mark_agents_gone', principal, null)) return FORBIDDEN;
      return markGone(master, given.mark_agent_gone);
    case 'TEARDOWN':
      return tearDown(master, given.teardown, principal);
    case 'DRAIN_AGENT':
      return drainAgent(master, given.drain_agent, principal);
    case 'DEACTIVATE_AGENT':
      return deactivateAgent(master, given.deactivate_agent, principal);
    case 'REACTIVATE_AGENT':
      return reactivateAgent(master, given.reactivate_agent, principal);
    case 'GET_MAINTENANCE_SCHEDULE':
      return showSchedule(master, principal);
    case 'UPDATE_MAINTENANCE_SCHEDULE':
      return updateSchedule(master, given.update_maintenance_schedule, principal);
    case 'GET_MAINTENANCE_STATUS':
      return showMaintenance(master, principal);
    case 'START_MAINTENANCE':
      return startMaintenance(master, given.start_maintenance, principal);
    case 'STOP_MAINTENANCE':
      return stopMaintenance(master, given.stop_maintenance, principal);
    default:
      return typeof type === 'string' && /^[A-Z_]+$/.test(type)
        ? { kind: 'unsupported', what: `the operator's call ${type}` }
        : malformed("Expecting 'type' to be present");
  }
}

interface OperatorCall {
  readonly type?: unknown;
  readonly mark_agent_gone?: { readonly agent_id?: { readonly value?: unknown } };
  readonly teardown?: { readonly framework_id?: { readonly value?: unknown } };
  /** What others are about is read where they are carried out. */
  readonly drain_agent?: unknown;
  readonly deactivate_agent?: unknown;
  readonly reactivate_agent?: unknown;
  readonly update_maintenance_schedule?: unknown;
  readonly start_maintenance?: unknown;
  readonly stop_maintenance?: unknown;
}

function markGone(master: Master, body: OperatorCall['mark_agent_gone']): OperatorAnswer {
  const agentId = body?.agent_id?.value;
  if (typeof agentId !== 'string') {
    return malformed("Expecting 'mark_agent_gone' to be present");
  }
  // Saying it twice is no mistake.
  if (master.goneAgents.has(agentId) || markAgentGone(master, agentId)) return DONE;
  return refuse(404, `Agent '${agentId}' not found`);
}

function tearDown(master: Master, body: OperatorCall['teardown'], principal: string | null): OperatorAnswer {
  const framework = master.frameworks.get(String(body?.framework_id?.value));
  if (framework === undefined) return refuse(400, 'No framework found with specified ID');
  const owner = framework.info.principal;
  const owners = owner === undefined ? null : [owner];
  if (!master.config.authorize('teardown_frameworks', principal, owners)) return FORBIDDEN;
  removeFramework(master, framework);
  return DONE;
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
    active: isActive(master, agent),
    deactivated: master.deactivated.has(agent.id),
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
    ...showDrain(master.drains.get(agent.id)),
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

function showTasks(master: Master, principal: string | null) {
  const frameworks = viewed(master, principal, master.frameworks);
  const all = [...frameworks, ...viewed(master, principal, master.completedFrameworks)];
  const shown = (framework: Framework, tasks: readonly Task[]) =>
    tasks.filter((task) => isTaskViewed(master, principal, framework, task)).map(showTask);
  return {
    tasks: frameworks.flatMap((framework) => shown(framework, newestFirst(framework.tasks))),
    unreachable_tasks: frameworks.flatMap((framework) =>
      shown(framework, newestFirst(framework.unreachableTasks)),
    ),
    completed_tasks: all.flatMap((framework) => shown(framework, [...framework.completedTasks].reverse())),
  };
}

/** Those that `principal` may see, the newest first. */
export function viewed(
  master: Master,
  principal: string | null,
  frameworks: ReadonlyMap<string, Framework>,
): readonly Framework[] {
  const { authorize } = master.config;
  return newestFirst(frameworks).filter(({ info }) => authorize('view_frameworks', principal, [info.user]));
}

export function isTaskViewed(
  { config }: Master,
  principal: string | null,
  { info }: Framework,
  task: Task,
): boolean {
  return config.authorize('view_tasks', principal, [task.info.command?.user ?? info.user]);
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
