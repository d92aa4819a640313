import { withDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, HttpTransport, Ids, Logger } from '../base/ports.ts';
import type { MasterHeaders } from '../mesos/credentials.ts';
import { isFinal, MesosError } from '../mesos/errors.ts';
import type { MasterSource } from '../mesos/master-source.ts';
import { createOperatorClient, type OperatorClient } from '../mesos/operator-client.ts';
import { USUAL_CLUSTER_SIZE } from '../protocol/identifiers.ts';
import { supervisorUrlOf } from '../protocol/launch.ts';
import type { MemberStatus } from '../protocol/member-status.ts';
import type { Members } from '../protocol/members-port.ts';
import { type ClusterRecord, newRecord, type Seat } from '../protocol/record.ts';
import { type OrderKey, signOrder } from '../protocol/signature.ts';
import { tokenOf } from '../reconcile/formation.ts';
import {
  adoptableSeats,
  adoptRecord,
  type Findings,
  findOurs,
  frameworkIdOf,
  type MasterFacts,
  refuse,
} from './adoption.ts';
import { type SchedulerConfig, SchedulerError } from './config.ts';
import { seatsOf } from './mesos-view.ts';

/** No record is stored. Is this the first start of this cluster, or was its record lost? */
export interface FirstStart {
  readonly record: ClusterRecord;
  /** For people. */
  readonly text: string;
}

export interface FirstStartPorts {
  readonly transport: HttpTransport;
  readonly masters: MasterSource;
  readonly masterHeaders?: MasterHeaders;
  readonly clock: Clock;
  readonly ids: Ids;
  readonly members: Members;
  readonly orderKey: OrderKey;
}
export interface FirstStartInput {
  readonly config: SchedulerConfig;
  readonly ports: FirstStartPorts;
  readonly log: Logger;
}

/** Between two questions to a master that does not answer. */
const MASTER_RETRY_MS = 1_000;
/** Agents that a new master waits for get this long to come back. */
const AGENTS_AWAITED_MS = 120_000;
/** Supervisors get this long to answer, each question this long. */
const SUPERVISORS_MS = 15_000;
const SUPERVISOR_ANSWER_MS = 3_000;
const SUPERVISOR_RETRY_MS = 500;

/**
 * Finds out and makes the record; does not store it. Rejects with a {@link SchedulerError} that says what was
 * found, or with a final `MesosError`.
 */
export async function firstStart(input: FirstStartInput, signal: AbortSignal): Promise<FirstStart> {
  const { config, ports } = input;
  const fresh = (frameworkId: string | null): ClusterRecord =>
    freshRecord({ config, frameworkId, cluster: ports.ids.uuid(), wallMs: ports.clock.wallMs() });
  if (config.bootstrap === 'new') {
    return { record: fresh(null), text: 'a new cluster begins, as --bootstrap=new asks' };
  }
  const findings = await lookAtMaster(input, signal);
  if (findings === null) {
    const text = 'the master does not let us look for what is there: offers may show it';
    return { record: fresh(null), text };
  }
  refuseRival(findings, config);
  if (findings.seats.length === 0) {
    if (config.bootstrap === 'adopt') throw nothingToAdopt(config);
    const { endedSandboxes } = findings;
    if (endedSandboxes.length > 0) {
      throw refuse(
        `only tasks that have ended, and their data with their sandboxes: ${endedSandboxes.join(', ')}`,
      );
    }
    const frameworkId = frameworkIdOf(findings);
    return { record: fresh(frameworkId), text: 'a new cluster begins: nothing of it is found' };
  }
  const record = await adopt(input, findings, signal);
  return { record, text: describeAdoption(record) };
}

function describeAdoption({ cluster, epoch, seats }: ClusterRecord): string {
  const verb = epoch.phase === 'adopting' ? 'found' : 'adopted';
  return `${verb} ${seats.length} places of cluster ${cluster}, epoch ${epoch.number}`;
}

/**
 * The record of a cluster that is not born yet says what it began with, before it began: where Mesos holds a place of
 * that cluster which the record does not know, the record is an older copy that was put back, and the cluster may
 * have been born since. Then what is there is adopted, as if nothing were stored. `null` where the record holds.
 * Rejects as {@link firstStart}.
 */
export async function adoptedInstead(
  input: FirstStartInput,
  stored: ClusterRecord,
  signal: AbortSignal,
): Promise<FirstStart | null> {
  const { phase } = stored.epoch;
  const isUnborn = phase === 'preparing' || phase === 'go';
  if (!isUnborn || stored.uninstall !== null || input.config.bootstrap === 'new') return null;
  const findings = await lookAtMaster(input, signal);
  const known = new Set(seatsOf(stored).map((seat) => seat.id));
  const seats = findings?.seats.filter(({ owner }) => owner.cluster === stored.cluster) ?? [];
  if (findings === null || seats.every(({ owner }) => known.has(owner.seat))) return null;
  const adopted = await adopt(input, { ...findings, seats }, signal);
  const generation = Math.max(adopted.generation, stored.generation + 1);
  return { record: { ...adopted, generation }, text: describeAdoption(adopted) };
}

/**
 * Whether the master shows us our own framework. It leaves out of its answers, without a word, what we have no leave
 * to see; where that is so, that nothing was found says nothing. Asks until it is answered; rejects when `signal`
 * aborts, and with a final `MesosError`.
 */
export async function seesItself(
  { ports, log }: FirstStartInput,
  frameworkId: string,
  signal: AbortSignal,
): Promise<boolean> {
  const client = operatorOf(ports);
  for (;;) {
    try {
      const { frameworks } = await client.getFrameworks(signal);
      return frameworks.some(({ framework_info: info }) => info.id?.value === frameworkId);
    } catch (error) {
      if (error instanceof MesosError && REFUSALS.has(error.code)) return false;
      if (!(error instanceof MesosError) || isFinal(error) || signal.aborted) throw error;
      log.warn('no master answers yet', { error: describeError(error) });
    }
    await ports.clock.sleep(MASTER_RETRY_MS, signal);
  }
}

/** The error of a start that nobody can confirm to be the first. */
export function blindError({ bootstrap, framework }: SchedulerConfig): SchedulerError {
  const code = bootstrap === 'adopt' ? 'nothing-to-adopt' : 'not-a-first-start';
  return new SchedulerError(
    code,
    `no record is stored, and the master does not show us what runs under the name '${framework.name}', ` +
      'not even our own framework',
    {
      hint:
        'Give the principal leave to view frameworks, tasks and roles; or, if it is certain that no cluster of ' +
        'this name exists, start once with --bootstrap=new.',
    },
  );
}

function operatorOf(ports: FirstStartPorts): OperatorClient {
  return createOperatorClient({
    transport: ports.transport,
    clock: ports.clock,
    masters: ports.masters,
    ...(ports.masterHeaders === undefined ? {} : { headers: ports.masterHeaders }),
  });
}

/** The record of a cluster that does not exist yet. */
function freshRecord(of: {
  readonly config: SchedulerConfig;
  readonly frameworkId: string | null;
  /** A fresh UUID. */
  readonly cluster: string;
  readonly wallMs: number;
}): ClusterRecord {
  const { config, cluster } = of;
  return newRecord({
    cluster,
    framework: { name: config.framework.name, id: of.frameworkId },
    size: config.spec.size ?? USUAL_CLUSTER_SIZE,
    token: tokenOf(cluster, 1, 1, cluster),
    openedAtMs: of.wallMs,
  });
}

/** What is under our name; `null` where the master refuses to tell. Waits for a master, and for its agents. */
async function lookAtMaster(input: FirstStartInput, signal: AbortSignal): Promise<Findings | null> {
  const { config, ports, log } = input;
  const { clock } = ports;
  const client = operatorOf(ports);
  const startMs = clock.monotonicMs();
  let answeredAtMs: number | null = null;
  for (;;) {
    try {
      const findings = findOurs(await readFacts(client, signal), config.framework.name);
      answeredAtMs ??= clock.monotonicMs();
      if (findings.agentsAwaited === 0) return findings;
      // Some of our agents may be among them: a member is not given up for coming back a little later than others.
      const isOurs = findings.seats.length > 0;
      const patienceMs = Math.max(AGENTS_AWAITED_MS, isOurs ? config.spec.unreachableTimeoutMs : 0);
      if (clock.monotonicMs() - answeredAtMs >= patienceMs) {
        if (isOurs) return findings;
        throw refuse(
          `${findings.agentsAwaited} agents that have not come back, so that their disks are unknown`,
        );
      }
      log.info('waiting for agents to come back to the master', { agents: findings.agentsAwaited });
    } catch (error) {
      if (error instanceof MesosError && REFUSALS.has(error.code)) return null;
      if (!(error instanceof MesosError) || isFinal(error) || signal.aborted) throw error;
      const waitedMs = clock.monotonicMs() - startMs;
      if (config.masterTimeoutMs > 0 && waitedMs >= config.masterTimeoutMs) throw noMaster(error, waitedMs);
      log.warn('no master answers yet', { error: describeError(error) });
    }
    await clock.sleep(MASTER_RETRY_MS, signal);
    signal.throwIfAborted();
  }
}

/** The master serves schedulers, and not operators: not with these credentials. */
const REFUSALS: ReadonlySet<string> = new Set(['refused-forbidden', 'refused-unauthenticated']);

async function readFacts(client: OperatorClient, signal: AbortSignal): Promise<MasterFacts> {
  const frameworks = await client.getFrameworks(signal);
  const agents = await client.getAgents(signal);
  const tasks = await client.getTasks(signal);
  return { frameworks, agents, tasks };
}

async function adopt(
  input: FirstStartInput,
  findings: Findings,
  signal: AbortSignal,
): Promise<ClusterRecord> {
  const { config, ports } = input;
  const pinned = { artifact: config.spec.artifact, etcd: config.spec.etcd };
  const wallMs = ports.clock.wallMs();
  const seats = adoptableSeats(findings, { pinned, wallMs });
  const running = findings.seats.filter((found) => found.live !== null).map((found) => found.owner.seat);
  const asked = seats.filter((seat) => running.includes(seat.id));
  const statuses = await askSupervisors(ports, asked, signal);
  const record = adoptRecord({
    config,
    findings,
    seats,
    statuses,
    wallMs,
    freshId: ports.ids.uuid(),
  });
  await proveKey(ports, record, statuses, signal);
  return record;
}

/** Every supervisor's status, as far as it answers in time. */
async function askSupervisors(
  ports: FirstStartPorts,
  seats: readonly Seat[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, MemberStatus>> {
  const { clock } = ports;
  const untilMs = clock.monotonicMs() + SUPERVISORS_MS;
  const statuses = new Map<string, MemberStatus>();
  const ask = async (seat: Seat): Promise<void> => {
    while (clock.monotonicMs() < untilMs && !signal.aborted) {
      try {
        const status = await withDeadline(clock, SUPERVISOR_ANSWER_MS, signal, (inner) =>
          ports.members.status(supervisorUrlOf(seat), null, inner),
        );
        if (status.seat !== seat.id || status.task !== seat.task) return;
        // One that has just started its etcd cannot name its cluster yet.
        statuses.set(seat.id, status);
        if (status.phase !== 'running' || status.probe !== null || status.needsUser !== null) return;
      } catch {
        // It may be starting; who has not answered in the end is treated as silent.
      }
      await clock.sleep(SUPERVISOR_RETRY_MS, signal);
    }
  };
  await Promise.all(seats.map(ask));
  signal.throwIfAborted();
  return statuses;
}

/** The supervisors obey only the key they were launched with: without it nothing could ever be done for them. */
async function proveKey(
  ports: FirstStartPorts,
  record: ClusterRecord,
  statuses: ReadonlyMap<string, MemberStatus>,
  signal: AbortSignal,
): Promise<void> {
  const { clock, ids } = ports;
  for (const [counter, seat] of record.seats.filter(({ id }) => statuses.has(id)).entries()) {
    const order = signOrder(
      {
        kind: 'fence',
        args: {},
        id: ids.uuid(),
        cluster: record.cluster,
        task: seat.task,
        epoch: record.epoch.number,
        attempt: record.epoch.attempt,
        generation: record.generation,
        counter: counter + 1,
      },
      ports.orderKey,
    );
    const receipt = await withDeadline(clock, SUPERVISOR_ANSWER_MS, signal, (inner) =>
      ports.members.order(supervisorUrlOf(seat), order, inner),
    ).catch(() => null);
    if (receipt?.problem === 'bad-signature') {
      throw refuse(
        `members that follow another scheduler's key: ${seat.slot} on ${seat.hostname} refuses ours; ` +
          'give this scheduler the key file that they were launched with',
      );
    }
  }
}

function refuseRival(findings: Findings, config: SchedulerConfig): void {
  const rival = findings.frameworks.find((framework) => framework.connected);
  if (rival === undefined) return;
  throw new SchedulerError(
    'already-running',
    `a scheduler of framework '${config.framework.name}' is connected as ${rival.id}`,
    { hint: 'Stop it first, or choose another --framework-name.' },
  );
}

function nothingToAdopt(config: SchedulerConfig): SchedulerError {
  return new SchedulerError(
    'nothing-to-adopt',
    `neither tasks nor reservations of framework '${config.framework.name}' are known to the master`,
    { hint: 'Start without --bootstrap=adopt to begin a new cluster.' },
  );
}

function noMaster(cause: MesosError, waitedMs: number): SchedulerError {
  return new SchedulerError(
    'no-master',
    `no Mesos master has answered in ${Math.round(waitedMs / 1000)} s: ${cause.message}`,
    { cause, hint: 'Check --master, or give it longer with --master-timeout.' },
  );
}
