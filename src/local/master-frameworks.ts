import type { FrameworkInfo } from '../mesos/wire.ts';
import { dropExecutors } from './agent-executors.ts';
import { registrationRefusal } from './authorization.ts';
import { forgetInverseOffers } from './inverse-offers.ts';
import { masterInfo } from './master-info.ts';
import {
  allocateSoon,
  COMPLETED_FRAMEWORKS_MAX,
  completeTask,
  emptyFramework,
  FRAMEWORKS_MAX,
  type Framework,
  forgetOffer,
  keepNewest,
  type Master,
  rescindOffer,
  sendToAgent,
  tell,
} from './master-state.ts';
import { roleProblem } from './roles.ts';
import type { SubscribeCall } from './scheduler-call.ts';
import { hasCapability, isTerminal } from './task-status.ts';

const HEARTBEAT_INTERVAL_SECONDS = 15;
/** Without them Mesos speaks an older form of resources, which the local one does not know. */
const CAPABILITIES_NEEDED = ['MULTI_ROLE', 'RESERVATION_REFINEMENT'];

/** Opens the event stream of a scheduler: of a new framework, or of one whose scheduler has failed over. */
export function subscribe(master: Master, exchange: string, { subscribe: body }: SubscribeCall): void {
  const streamId = master.ids.uuid();
  master.outputs.push({
    kind: 'open-stream',
    exchange,
    status: 200,
    headers: { 'content-type': 'application/json', 'mesos-stream-id': streamId },
  });
  const problem = subscriptionProblem(master, body.framework_info, body.suppressed_roles);
  if (problem !== null) {
    const error = { type: 'ERROR', error: { message: problem } };
    master.outputs.push({ kind: 'record', exchange, json: JSON.stringify(error) });
    master.outputs.push({ kind: 'close-stream', exchange });
    return;
  }
  const framework = subscriber(master, body.framework_info);
  if (framework.stream !== null) {
    tell(master, framework, { type: 'ERROR', error: { message: 'Framework failed over' } });
    master.outputs.push({ kind: 'close-stream', exchange: framework.stream.exchange });
  }
  for (const offerId of offerIdsOf(master, framework)) forgetOffer(master, offerId);
  forgetInverseOffers(master, framework);
  framework.stream = { exchange, streamId, nextHeartbeatMs: 0 };
  framework.failoverDueMs = null;
  suppressOnly(framework, body.suppressed_roles);
  greet(master, framework);
  tellAgents(master, framework);
  allocateSoon(master, 'all');
}

/** The scheduler's stream is gone; its framework waits for another until the failover timeout. */
export function loseStream(master: Master, exchange: string): void {
  const framework = [...master.frameworks.values()].find(({ stream }) => stream?.exchange === exchange);
  if (framework === undefined) return;
  framework.stream = null;
  framework.failoverDueMs = master.now.monotonicMs + (framework.info.failover_timeout ?? 0) * 1000;
  for (const offerId of offerIdsOf(master, framework)) forgetOffer(master, offerId);
  forgetInverseOffers(master, framework);
  if (framework.failoverDueMs <= master.now.monotonicMs) removeFramework(master, framework);
}

/** Removes the frameworks whose failover timeout has passed and sends the heartbeats that are due. */
export function tickFrameworks(master: Master): void {
  for (const framework of [...master.frameworks.values()]) {
    const { failoverDueMs, stream } = framework;
    if (failoverDueMs !== null && master.now.monotonicMs >= failoverDueMs) removeFramework(master, framework);
    if (stream !== null && master.now.monotonicMs >= stream.nextHeartbeatMs) beat(master, framework);
  }
}

/** The framework is over: its tasks are killed, its stream ends, its id is never taken again. */
export function removeFramework(master: Master, framework: Framework): void {
  master.frameworks.delete(framework.id);
  for (const offerId of offerIdsOf(master, framework)) forgetOffer(master, offerId);
  forgetInverseOffers(master, framework);
  for (const answers of master.inverseAnswers.values()) answers.delete(framework.id);
  for (const agent of master.agents.values()) {
    sendToAgent(master, agent, { kind: 'shutdown-framework', frameworkId: framework.id });
  }
  dropExecutors(master, framework.id);
  for (const task of [...framework.tasks.values()]) {
    if (!isTerminal(task.state)) task.state = 'TASK_KILLED';
    completeTask(framework, task);
  }
  for (const [uuid, { frameworkId }] of master.operations) {
    if (frameworkId === framework.id) master.operations.delete(uuid);
  }
  if (framework.stream !== null) {
    master.outputs.push({ kind: 'close-stream', exchange: framework.stream.exchange });
  }
  framework.stream = null;
  framework.unregisteredWallMs = master.now.wallMs;
  master.completedFrameworks.set(framework.id, framework);
  keepNewest(master.completedFrameworks, COMPLETED_FRAMEWORKS_MAX);
}

/** What a framework may not change of itself; `null` when `next` is allowed after `info`. */
export function updateProblem(info: FrameworkInfo, next: FrameworkInfo): string | null {
  if (info.principal !== next.principal) return PRINCIPAL_CHANGED;
  for (const field of ['user', 'checkpoint'] as const) {
    if (info[field] !== next[field]) return `Updating 'FrameworkInfo.${field}' is unsupported`;
  }
  return null;
}

const PRINCIPAL_CHANGED = "Changing framework's principal is not allowed.";

/** Takes the framework's new info and roles that it does not want offers for. Offers of roles it left are void. */
export function updateFramework(
  master: Master,
  framework: Framework,
  info: FrameworkInfo,
  suppressedRoles: readonly string[],
): void {
  framework.info = { ...info, id: { value: framework.id } };
  for (const offer of [...master.offers.values()]) {
    const isLeft = offer.frameworkId === framework.id && !info.roles.includes(offer.role);
    if (isLeft) rescindOffer(master, offer);
  }
  suppressOnly(framework, suppressedRoles);
  tellAgents(master, framework);
  allocateSoon(master, 'all');
}

/** Why a scheduler with such a framework is sent away; `null` when it is not. */
export function frameworkProblem(info: FrameworkInfo, suppressedRoles: readonly string[]): string | null {
  for (const role of info.roles) {
    const problem = roleProblem(role);
    if (problem !== null) return `'FrameworkInfo.roles' contains invalid role: ${problem}`;
  }
  if (new Set(info.roles).size !== info.roles.length) return "'FrameworkInfo.roles' contains duplicate items";
  const timeout = info.failover_timeout ?? 0;
  if (!Number.isFinite(timeout) || timeout < 0) {
    return `The framework failover_timeout (${timeout}) is invalid: expected a number of seconds of 0 or more`;
  }
  const stranger = suppressedRoles.find((role) => !info.roles.includes(role));
  if (stranger !== undefined) return `Suppressed role '${stranger}' is not contained in the set of roles`;
  const lacking = CAPABILITIES_NEEDED.find((type) => !hasCapability(info, type));
  return lacking === undefined
    ? null
    : `The local Mesos takes frameworks with the capability ${lacking} only`;
}

function subscriptionProblem(
  master: Master,
  info: FrameworkInfo,
  suppressedRoles: readonly string[],
): string | null {
  const id = info.id?.value ?? '';
  const problem = frameworkProblem(info, suppressedRoles);
  if (problem !== null) return problem;
  const refusal = registrationRefusal(master.config.authorize, info);
  if (refusal !== null) return refusal;
  if (master.completedFrameworks.has(id)) return 'Framework has been removed';
  const known = master.frameworks.get(id);
  if (known !== undefined && known.info.principal !== info.principal) return PRINCIPAL_CHANGED;
  const isFull = master.frameworks.size >= FRAMEWORKS_MAX && !master.frameworks.has(id);
  return isFull ? `The local Mesos takes ${FRAMEWORKS_MAX} frameworks at a time` : null;
}

function subscriber(master: Master, info: FrameworkInfo): Framework {
  const known = master.frameworks.get(info.id?.value ?? '');
  if (known !== undefined) {
    // Mesos keeps the first word on these, whatever a later scheduler says.
    const { user, checkpoint = false } = known.info;
    known.info = { ...info, user, checkpoint, id: { value: known.id } };
    known.recovered = false;
    known.reregisteredWallMs = master.now.wallMs;
    return known;
  }
  const id = info.id?.value ?? nextFrameworkId(master);
  const framework = emptyFramework(master, id, info);
  master.frameworks.set(id, framework);
  return framework;
}

function nextFrameworkId(master: Master): string {
  const number = String(master.nextFramework).padStart(4, '0');
  master.nextFramework += 1;
  return `${master.config.masterId}-${number}`;
}

function greet(master: Master, framework: Framework): void {
  tell(master, framework, {
    type: 'SUBSCRIBED',
    subscribed: {
      framework_id: { value: framework.id },
      heartbeat_interval_seconds: HEARTBEAT_INTERVAL_SECONDS,
      master_info: masterInfo(master.config),
    },
  });
  beat(master, framework);
}

function beat(master: Master, framework: Framework): void {
  if (framework.stream === null) return;
  framework.stream.nextHeartbeatMs = master.now.monotonicMs + HEARTBEAT_INTERVAL_SECONDS * 1000;
  tell(master, framework, { type: 'HEARTBEAT' });
}

/** Agents resend at once what a new scheduler has not acknowledged. */
function tellAgents(master: Master, framework: Framework): void {
  const agentIds = new Set([...framework.tasks.values()].map(({ agentId }) => agentId));
  for (const { frameworkId, agentId } of master.operations.values()) {
    if (frameworkId === framework.id) agentIds.add(agentId);
  }
  for (const agentId of agentIds) {
    const agent = master.agents.get(agentId);
    if (agent === undefined) continue;
    sendToAgent(master, agent, { kind: 'framework-updated', framework: framework.info });
  }
}

function suppressOnly(framework: Framework, roles: readonly string[]): void {
  framework.suppressed.clear();
  for (const role of roles) framework.suppressed.add(role);
}

function offerIdsOf(master: Master, framework: Framework): readonly string[] {
  return [...master.offers.values()]
    .filter(({ frameworkId }) => frameworkId === framework.id)
    .map(({ offer }) => offer.id.value);
}
