import { withDeadline } from '../base/deadline.ts';
import type { Logger } from '../base/ports.ts';
import type { SchedulerConfig } from '../framework/config.ts';
import { createEndpointNotice, type EndpointBoard } from '../framework/endpoint-notice.ts';
import { publishedEndpointsOf } from '../framework/publish.ts';
import { createScheduler, type Scheduler, type SchedulerPorts } from '../framework/scheduler.ts';
import { portsWithin } from '../framework/term-ports.ts';
import { parseRecord } from '../protocol/record.ts';
import type { SchedulerState } from './scheduler-state.ts';

/** What acts while this process leads: a scheduler of its own for each term. */
export interface ActiveScheduler {
  /** Runs a scheduler until `signal` aborts; settles when nothing of it is under way any more. */
  act(signal: AbortSignal): Promise<void>;
  /** The scheduler that acts; `null` while none does. */
  current(): Pick<Scheduler, 'snapshot' | 'tell'> | null;
  /** Whether a generation after that of the scheduler that acted last is stored, or none, or that cannot be known. */
  isOvertaken(): Promise<boolean>;
}

export interface ActiveSchedulerOptions {
  readonly config: SchedulerConfig;
  readonly ports: Omit<SchedulerPorts, 'store' | 'orderKey'>;
  readonly state: Pick<SchedulerState, 'store' | 'orderKey'>;
  /** Where the cluster's endpoints are told; `null`: nowhere but in the API. */
  readonly board: EndpointBoard | null;
  readonly wrapPorts: (ports: SchedulerPorts) => SchedulerPorts;
}

/** For reading the record that tells who has taken over. */
const LOOK_MS = 10_000;

export function createActiveScheduler(options: ActiveSchedulerOptions): ActiveScheduler {
  const { config, state, board } = options;
  const { clock, log } = options.ports;
  let acting: Scheduler | null = null;
  let generation = 0;

  return {
    current: () => acting,
    async act(signal) {
      const orderKey = await state.orderKey();
      const ports = options.wrapPorts({ ...options.ports, store: state.store, orderKey });
      const term = portsWithin(ports, signal);
      const notice = board === null ? null : createEndpointNotice({ board, clock, log });
      const scheduler = createScheduler({
        config,
        ports: term.ports,
        onChange: () => notice?.update(publishedEndpointsOf(scheduler.snapshot())),
        onStory: ({ slot, text, reason }) => log.info('story', { slot, text, reason }),
      });
      acting = scheduler;
      try {
        if ((await scheduler.run(signal)) === 'uninstalled') await stayAnswering(log, signal);
      } finally {
        await Promise.all([term.settled(), notice?.stop()]);
        generation = scheduler.snapshot().record?.generation ?? generation;
        acting = null;
      }
    },
    async isOvertaken() {
      try {
        const stored = await withDeadline(clock, LOOK_MS, new AbortController().signal, async () =>
          state.store.load(),
        );
        return stored === null || parseRecord(stored.bytes).generation > generation;
      } catch {
        return true;
      }
    },
  };
}

/** DC/OS asks for the plan until it is complete, then ends us; whoever were started again would begin anew. */
async function stayAnswering(log: Logger, signal: AbortSignal): Promise<void> {
  log.info('uninstalled; the api goes on answering until the scheduler is stopped');
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
}
