import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import { createSchedulerConnection } from '../../src/mesos/scheduler-connection.ts';
import type {
  Call,
  FrameworkInfo,
  Offer,
  Resource,
  SchedulerEvent,
  TaskStatus,
} from '../../src/mesos/wire.ts';
import { createHttpTransport } from '../../src/runtime/http-transport.ts';
import { createSystemRandom } from '../../src/runtime/random.ts';
import { silentLogger } from '../silent-logger.ts';
import { clock, until } from './container-world.ts';

/** A framework that keeps its offers, acknowledges every update and remembers all it was told. */
export function startScheduler(
  masterUrl: string,
  frameworkId: string | null = null,
  { principal }: Pick<FrameworkInfo, 'principal'> = {},
) {
  const transport = createHttpTransport();
  const stop = new AbortController();
  const offers = new Map<string, Offer>();
  const updates: (TaskStatus & { readonly atMs: number })[] = [];
  const failures: string[] = [];
  const executorsEnded: { readonly executorId: string; readonly status: number | undefined }[] = [];
  let id = frameworkId;
  let subscriptions = 0;
  const info: FrameworkInfo = {
    user: 'root',
    name: 'test',
    roles: ['etcd'],
    ...(principal === undefined ? {} : { principal }),
    failover_timeout: 3600,
    checkpoint: true,
    capabilities: ['MULTI_ROLE', 'PARTITION_AWARE', 'TASK_KILLING_STATE', 'RESERVATION_REFINEMENT'].map(
      (type) => ({ type }),
    ),
  };
  const connection = createSchedulerConnection({
    transport,
    clock,
    random: createSystemRandom(),
    log: silentLogger,
    masters: createFixedMasterSource(masterUrl),
    frameworkInfo: () => info,
    frameworkId,
    onEvent: (event) => {
      if (event.kind === 'subscribed') {
        id = event.frameworkId;
        subscriptions += 1;
      } else if (event.kind === 'disconnected') offers.clear();
      else take(event.event);
    },
  });
  const run = connection.run(stop.signal);

  function take(event: Exclude<SchedulerEvent, { type: 'SUBSCRIBED' | 'HEARTBEAT' }>): void {
    if (event.type === 'OFFERS') for (const offer of event.offers.offers) offers.set(offer.id.value, offer);
    if (event.type === 'RESCIND') offers.delete(event.rescind.offer_id.value);
    if (event.type === 'FAILURE') {
      const { executor_id, agent_id, status } = event.failure;
      if (executor_id === undefined) failures.push(agent_id?.value ?? '');
      else executorsEnded.push({ executorId: executor_id.value, status });
    }
    if (event.type !== 'UPDATE') return;
    // What the local Mesos sends is not newer than we are.
    const status = event.update.status as TaskStatus;
    const { uuid, agent_id } = status;
    // An update that was not acknowledged when its agent died comes again, under the same name.
    const isAgain = uuid !== undefined && updates.some((earlier) => earlier.uuid === uuid);
    if (!isAgain) updates.push({ ...status, atMs: clock.monotonicMs() });
    if (uuid === undefined || agent_id === undefined) return;
    // One that is lost is asked for again by the same update.
    connection
      .call({ type: 'ACKNOWLEDGE', acknowledge: { agent_id, task_id: status.task_id, uuid } })
      .catch(() => undefined);
  }

  async function launch(taskId: string, hostname: string, command: string): Promise<number> {
    const offer = await until(`an offer of ${hostname}`, () =>
      [...offers.values()].find((candidate) => candidate.hostname === hostname),
    );
    offers.delete(offer.id.value);
    const allocation_info = { role: 'etcd' };
    const scalar = (name: string, value: number): Resource => ({
      name,
      type: 'SCALAR',
      scalar: { value },
      allocation_info,
    });
    const atMs = clock.monotonicMs();
    await connection.call({
      type: 'ACCEPT',
      accept: {
        offer_ids: [offer.id],
        operations: [
          {
            type: 'LAUNCH',
            launch: {
              task_infos: [
                {
                  name: taskId,
                  task_id: { value: taskId },
                  agent_id: offer.agent_id,
                  resources: [scalar('cpus', 0.1), scalar('mem', 32)],
                  command: { shell: true, value: command },
                },
              ],
            },
          },
        ],
        filters: { refuse_seconds: 0 },
      },
    });
    return atMs;
  }

  const of = (taskId: string) => updates.filter(({ task_id }) => task_id.value === taskId);
  return {
    offers,
    failures,
    executorsEnded,
    updates,
    subscriptions: () => subscriptions,
    frameworkId: () => id,
    call: (call: Call) => connection.call(call),
    launch,
    statesOf: (taskId: string) => of(taskId).map(({ state }) => state),
    /** The newest update of the task, once it is the one that is waited for. */
    awaitUpdate: (taskId: string, wanted: Partial<TaskStatus>, sinceMs = 0) =>
      until(`${JSON.stringify(wanted)} of ${taskId}; there was ${JSON.stringify(of(taskId).slice(-3))}`, () =>
        of(taskId).find(
          (status) =>
            status.atMs >= sinceMs &&
            Object.entries(wanted).every(([name, value]) => status[name as keyof TaskStatus] === value),
        ),
      ),
    async close() {
      stop.abort();
      await run;
      await transport.close();
    },
  };
}
