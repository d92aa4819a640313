import { withDeadline } from '../base/deadline.ts';
import type { SchedulerConfig } from '../framework/config.ts';
import { createEndpointNotice, type EndpointBoard } from '../framework/endpoint-notice.ts';
import { publishedEndpointsOf } from '../framework/publish.ts';
import { watchRecord } from '../framework/record-watch.ts';
import { createScheduler, type Scheduler, type SchedulerPorts } from '../framework/scheduler.ts';
import { portsWithin } from '../framework/term-ports.ts';
import type { TermsOptions } from '../framework/terms.ts';
import { type ClusterRecord, parseRecord } from '../protocol/record.ts';
import type { SchedulerState } from './scheduler-state.ts';

/** What acts while this process leads: a scheduler of its own for each term. */
export interface ActiveScheduler
  extends Pick<TermsOptions, 'act' | 'standBy' | 'isOvertaken' | 'isRegistered'> {
  /** The scheduler that acts, or that has uninstalled the service; `null` while there is none. */
  current(): Pick<Scheduler, 'snapshot' | 'tell' | 'measure' | 'fullNow'> | null;
}

export interface ActiveSchedulerOptions {
  readonly config: SchedulerConfig;
  readonly ports: Omit<SchedulerPorts, 'store' | 'orderKey'>;
  readonly state: Pick<SchedulerState, 'store' | 'orderKey' | 'learnOrderKey'>;
  /** Where the cluster's endpoints are told; `null`: nowhere but in the API. */
  readonly board: EndpointBoard | null;
  readonly wrapPorts: (ports: SchedulerPorts) => SchedulerPorts;
}

/** For what is under way to end after a term. Longer is a fault of ours: the process ends then, and is started anew. */
const SETTLE_MS = 60_000;
/** For reading the record that tells who has taken over. */
const LOOK_MS = 10_000;

export function createActiveScheduler(options: ActiveSchedulerOptions): ActiveScheduler {
  const { state, board } = options;
  const { store } = state;
  const { clock, log } = options.ports;
  let acting: Scheduler | null = null;
  let generation = 0;
  /** The newest record asked for an uninstall: once it is gone nothing new begins. */
  let isGivenUp = false;
  let isRegistered = false;
  const heardOf = (record: ClusterRecord): void => {
    generation = record.generation;
    isGivenUp = record.uninstall !== null;
    isRegistered ||= record.framework.id !== null;
  };

  const configOfTerm = async (): Promise<SchedulerConfig> => {
    const { config } = options;
    if (!isGivenUp || (await store.load()) !== null) return config;
    return { ...config, uninstall: { destroyData: false } };
  };

  return {
    current: () => acting,
    standBy: async (signal) => {
      const onRecord = async (record: ClusterRecord): Promise<void> => {
        heardOf(record);
        await state.learnOrderKey();
      };
      await watchRecord({ store, clock, log, onRecord }, signal);
    },
    act: async (time) => {
      const orderKey = await state.orderKey();
      const config = await configOfTerm();
      const term = portsWithin(options.wrapPorts({ ...options.ports, store, orderKey }), time);
      const notice = board === null ? null : createEndpointNotice({ board, clock, log });
      const scheduler = createScheduler({
        config,
        ports: term.ports,
        onChange: () => notice?.update(publishedEndpointsOf(scheduler.snapshot())),
        onStory: ({ slot, text, reason }) => log.info('story', { slot, text, reason }),
      });
      acting = scheduler;
      let isUninstalled = false;
      try {
        const end = await scheduler.run(time.over);
        isUninstalled = end === 'uninstalled';
        return end;
      } finally {
        const settled = Promise.all([term.settled(), notice?.stop()]);
        await withDeadline(clock, SETTLE_MS, new AbortController().signal, async () => await settled);
        const { record } = scheduler.snapshot();
        if (record !== null) heardOf(record);
        if (!isUninstalled) acting = null;
      }
    },
    isRegistered: () => isRegistered,
    isOvertaken: async () => {
      try {
        const none = new AbortController().signal;
        const stored = await withDeadline(clock, LOOK_MS, none, async () => await store.load());
        return stored === null || parseRecord(stored.bytes).generation > generation;
      } catch {
        return true;
      }
    },
  };
}
