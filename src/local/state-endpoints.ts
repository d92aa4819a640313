import type { Attribute, TaskStatus } from '../mesos/wire.ts';
import {
  type Agent,
  type Framework,
  isActive,
  type Master,
  type MasterConfig,
  newestFirst,
  offeredIn,
  offersOn,
  pidOfAgent,
  pidOfMaster,
  type Task,
  usedByFramework,
  usedOn,
} from './master-state.ts';
import { AGENT_CAPABILITIES, MASTER_CAPABILITIES, MESOS_BUILD } from './mesos-build.ts';
import { isTaskViewed, viewed } from './operator-api.ts';
import { formatRanges } from './resource-text.ts';
import { byRole, totals, unreserved, withRole } from './resource-views.ts';
import { addResources } from './resources.ts';

/** The JSON endpoints that are older than the operator API: `/state`, `/slaves`, `/tasks`. */
export function showState(master: Master, principal: string | null) {
  const { config, leadership } = master;
  const agents = [...master.agents.values()];
  const pid = pidOfMaster(config);
  const startedSeconds = config.startedAt.wallMs / 1000;
  return {
    ...MESOS_BUILD,
    start_time: startedSeconds,
    ...(leadership.kind === 'leading' ? { elected_time: leadership.electedWallMs / 1000 } : {}),
    id: config.masterId,
    pid,
    hostname: config.hostname,
    capabilities: MASTER_CAPABILITIES,
    activated_slaves: agents.filter((agent) => isActive(master, agent)).length,
    deactivated_slaves: agents.filter((agent) => !isActive(master, agent)).length,
    unreachable_slaves: master.unreachableAgents.size,
    leader: pid,
    leader_info: { id: config.masterId, pid, port: config.port, hostname: config.hostname },
    flags: showFlags(config),
    slaves: newestFirst(master.agents).map((agent) => showSlave(master, agent)),
    recovered_slaves: [],
    frameworks: viewed(master, principal, master.frameworks).map((framework) =>
      showFramework(master, framework, principal),
    ),
    completed_frameworks: viewed(master, principal, master.completedFrameworks).map((framework) =>
      showFramework(master, framework, principal),
    ),
    orphan_tasks: [],
    unregistered_frameworks: [],
  };
}

export function showSlaves(master: Master) {
  return {
    slaves: newestFirst(master.agents).map((agent) => ({
      ...showSlave(master, agent),
      reserved_resources_full: Object.fromEntries(
        [...byRole(agent.total)].map(([role, resources]) => [role, resources.map(withRole)]),
      ),
      unreserved_resources_full: unreserved(agent.total).map(withRole),
      used_resources_full: usedOn(master, agent).map(withRole),
      offered_resources_full: offeredIn(offersOn(master, agent.id)).map(withRole),
    })),
    recovered_slaves: [],
  };
}

/** Tasks that one answer of `/tasks` holds unless its query says otherwise, as in Mesos. */
const TASKS_LIMIT_DEFAULT = 100;

export function showTasks(master: Master, query: URLSearchParams, principal: string | null) {
  const frameworks = [
    ...viewed(master, principal, master.frameworks),
    ...viewed(master, principal, master.completedFrameworks),
  ];
  const tasks = frameworks.flatMap((framework) =>
    [
      ...newestFirst(framework.tasks),
      ...newestFirst(framework.unreachableTasks),
      ...[...framework.completedTasks].reverse(),
    ].filter((task) => isTaskViewed(master, principal, framework, task)),
  );
  const offset = countOf(query.get('offset'), 0);
  return {
    tasks: tasks.slice(offset, offset + countOf(query.get('limit'), TASKS_LIMIT_DEFAULT)).map(showTask),
  };
}

function countOf(text: string | null, otherwise: number): number {
  return text !== null && /^\d{1,6}$/.test(text) ? Number(text) : otherwise;
}

function showSlave(master: Master, agent: Agent) {
  const { hostname, port, attributes } = agent.description;
  return {
    id: agent.id,
    hostname,
    port,
    attributes: Object.fromEntries(
      attributes.map((attribute) => [attribute.name, attributeValue(attribute)]),
    ),
    pid: pidOfAgent(agent.description),
    registered_time: agent.registeredWallMs / 1000,
    ...(agent.reregisteredWallMs === null ? {} : { reregistered_time: agent.reregisteredWallMs / 1000 }),
    resources: totals(agent.total),
    used_resources: totals(usedOn(master, agent)),
    offered_resources: totals(offeredIn(offersOn(master, agent.id))),
    reserved_resources: Object.fromEntries(
      [...byRole(agent.total)].map(([role, resources]) => [role, totals(resources)]),
    ),
    unreserved_resources: totals(unreserved(agent.total)),
    active: isActive(master, agent),
    deactivated: master.deactivated.has(agent.id),
    version: MESOS_BUILD.version,
    capabilities: AGENT_CAPABILITIES,
  };
}

function attributeValue(attribute: Attribute): string | number {
  if (attribute.type === 'SCALAR') return attribute.scalar?.value ?? 0;
  if (attribute.type === 'TEXT') return attribute.text?.value ?? '';
  if (attribute.type === 'SET') return `{${(attribute.set?.item ?? []).join(', ')}}`;
  return formatRanges({
    name: attribute.name,
    type: 'RANGES',
    ranges: attribute.ranges ?? { range: [] },
  });
}

function showFramework(master: Master, framework: Framework, principal: string | null) {
  const { info } = framework;
  const shown = (tasks: readonly Task[]) =>
    tasks.filter((task) => isTaskViewed(master, principal, framework, task)).map(showTask);
  const offers = [...master.offers.values()].filter(({ frameworkId }) => frameworkId === framework.id);
  const used = usedByFramework(master, framework);
  const offered = offeredIn(offers);
  const isConnected = framework.stream !== null;
  return {
    id: framework.id,
    name: info.name,
    used_resources: totals(used),
    offered_resources: totals(offered),
    capabilities: (info.capabilities ?? []).map(({ type }) => type),
    hostname: info.hostname ?? '',
    webui_url: info.webui_url ?? '',
    active: isConnected,
    connected: isConnected,
    recovered: framework.recovered,
    user: info.user,
    failover_timeout: info.failover_timeout ?? 0,
    checkpoint: info.checkpoint ?? false,
    registered_time: framework.registeredWallMs / 1000,
    unregistered_time: (framework.unregisteredWallMs ?? 0) / 1000,
    ...(framework.reregisteredWallMs === framework.registeredWallMs
      ? {}
      : { reregistered_time: framework.reregisteredWallMs / 1000 }),
    ...(info.principal === undefined ? {} : { principal: info.principal }),
    resources: totals(addResources(used, offered)),
    roles: info.roles,
    tasks: shown(newestFirst(framework.tasks)),
    unreachable_tasks: shown(newestFirst(framework.unreachableTasks)),
    completed_tasks: shown([...framework.completedTasks].reverse()),
    offers: offers
      .map(({ offer, role, agentId }) => ({
        id: offer.id.value,
        framework_id: framework.id,
        allocation_info: { role },
        slave_id: agentId,
        resources: totals(offer.resources),
      }))
      .reverse(),
    executors: executorsOf(master, framework),
    offer_constraints: {},
  };
}

function executorsOf(master: Master, framework: Framework) {
  return [...master.agents.values()].flatMap((agent) =>
    [...agent.executors.values()]
      .filter(({ frameworkId }) => frameworkId === framework.id)
      .map(({ role, executor }) => ({
        executor_id: executor.executor_id.value,
        name: '',
        framework_id: framework.id,
        command: { argv: [] },
        resources: totals(executor.resources),
        role,
        slave_id: agent.id,
      })),
  );
}

function showTask(task: Task) {
  const { name, task_id, resources, labels, discovery, health_check } = task.info;
  return {
    id: task_id.value,
    name,
    framework_id: task.frameworkId,
    executor_id: task.executorId ?? '',
    slave_id: task.agentId,
    state: task.state,
    resources: totals(resources),
    role: task.role,
    statuses: task.statuses.map(showStatus),
    ...(labels === undefined ? {} : { labels: labels.labels }),
    ...(discovery === undefined ? {} : { discovery }),
    ...(health_check === undefined ? {} : { health_check }),
  };
}

function showStatus({ state, timestamp, labels, container_status, healthy }: TaskStatus) {
  const container = container_status as Readonly<Record<string, unknown>> | undefined;
  const { executor_pid: _, ...shown } = container ?? {};
  return {
    state,
    timestamp,
    ...(labels === undefined ? {} : { labels: labels.labels }),
    ...(container === undefined ? {} : { container_status: shown }),
    ...(healthy === undefined ? {} : { healthy }),
  };
}

/** Those that are what they say; the rest as a master shows them that was given none. */
function showFlags(config: MasterConfig): Readonly<Record<string, string>> {
  return {
    ...DEFAULT_FLAGS,
    agent_ping_timeout: duration(config.agentPingTimeoutMs),
    allocation_interval: duration(config.allocationIntervalMs),
    hostname: config.hostname,
    ip: config.ip,
    max_agent_ping_timeouts: String(config.agentPingTimeoutsMax),
    port: String(config.port),
  };
}

function duration(durationMs: number): string {
  return durationMs % 1000 === 0 ? `${durationMs / 1000}secs` : `${durationMs}ms`;
}

const DEFAULT_FLAGS = {
  agent_reregister_timeout: '10mins',
  allocator: 'hierarchical',
  allocator_agent_recovery_factor: '0.8',
  allocator_recovery_timeout: '10mins',
  authenticate_agents: 'false',
  authenticate_frameworks: 'false',
  authenticate_http_frameworks: 'false',
  authenticate_http_readonly: 'false',
  authenticate_http_readwrite: 'false',
  authentication_v0_timeout: '15secs',
  authenticators: 'crammd5',
  authorizers: 'local',
  filter_gpu_resources: 'true',
  framework_sorter: 'drf',
  help: 'false',
  hostname_lookup: 'true',
  http_authenticators: 'basic',
  initialize_driver_logging: 'true',
  log_auto_initialize: 'true',
  logbufsecs: '0',
  logging_level: 'INFO',
  max_completed_frameworks: '50',
  max_completed_tasks_per_framework: '1000',
  max_operator_event_stream_subscribers: '1000',
  max_unreachable_tasks_per_framework: '1000',
  memory_profiling: 'false',
  min_allocatable_resources: 'cpus:0.01|mem:32',
  offer_constraints_re2_max_mem: '4KB',
  offer_constraints_re2_max_program_size: '100',
  publish_per_framework_metrics: 'true',
  quiet: 'false',
  recovery_agent_removal_limit: '100%',
  registry: 'in_memory',
  registry_fetch_timeout: '1mins',
  registry_gc_interval: '15mins',
  registry_max_agent_age: '2weeks',
  registry_max_agent_count: '102400',
  registry_store_timeout: '20secs',
  registry_strict: 'false',
  require_agent_domain: 'false',
  role_sorter: 'drf',
  root_submissions: 'true',
  version: 'false',
  webui_dir: '/usr/share/mesos/webui',
  work_dir: '/var/lib/mesos/master',
  zk_session_timeout: '10secs',
} as const;
