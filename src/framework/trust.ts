import { describeError } from '../base/errors.ts';
import type { ClusterRecord } from '../protocol/record.ts';
import { SchedulerError } from './config.ts';
import { blindError, type FirstStartInput, seesItself } from './first-start.ts';
import type { Ownership } from './labels.ts';
import type { MesosView } from './mesos-view.ts';
import { isUnproven } from './offered-places.ts';

/**
 * Whether the record may be acted on. That of a first start is believed only once the master has shown us our own
 * framework, so that it would have shown us another of our name; or once an operator said so.
 */
export interface Trust {
  readonly isGiven: boolean;
  /** The record that a scheduler starts with. */
  begin(record: ClusterRecord): void;
  /**
   * Looks around; milliseconds until that is over. Throws a {@link SchedulerError} where another cluster is seen, or
   * where nobody can tell.
   */
  look(seen: TrustInput): number;
}
export interface TrustInput {
  readonly view: MesosView;
  readonly record: ClusterRecord;
  /** Owners of reservations under our name that are another cluster's. */
  readonly foreign: readonly Ownership[];
  readonly signal: AbortSignal;
}

/** Where only offers can tell whether this is a first start, they are looked at for this long. */
const LOOK_MS = 3_000;

export function createTrust(input: FirstStartInput, onChange: () => void): Trust {
  const { config, ports, log } = input;
  let isGiven = true;
  let sight: 'unasked' | 'asked' | 'clear' | 'blind' = 'unasked';

  const ask = async (frameworkId: string, signal: AbortSignal): Promise<void> => {
    sight = 'asked';
    try {
      sight = (await seesItself(input, frameworkId, signal)) ? 'clear' : 'blind';
    } catch (error) {
      sight = 'unasked';
      if (!signal.aborted) log.warn('the master could not be asked', { error: describeError(error) });
    }
    onChange();
  };

  return {
    get isGiven() {
      return isGiven;
    },
    begin: (record) => {
      isGiven = !isUnproven(record) || config.bootstrap === 'new';
    },
    look: ({ view, record, foreign, signal }) => {
      if (record.epoch.phase === 'adopting' || sight === 'clear') isGiven = true;
      if (isGiven || !view.subscribed || record.uninstall !== null) return Number.POSITIVE_INFINITY;
      const [stranger] = foreign;
      if (stranger !== undefined) throw strangerError(config.framework.name, stranger.cluster, stranger.slot);
      if (sight === 'unasked') void ask(view.frameworkId ?? '', signal);
      const leftMs = view.subscribedAtMs + LOOK_MS - ports.clock.monotonicMs();
      if (leftMs <= 0 && sight === 'blind') throw blindError(config);
      return leftMs > 0 ? leftMs : Number.POSITIVE_INFINITY;
    },
  };
}

function strangerError(name: string, cluster: string, slot: string): SchedulerError {
  return new SchedulerError(
    'not-a-first-start',
    `no record is stored, but agents hold reservations of framework '${name}' for cluster ${cluster} (${slot})`,
    {
      hint:
        'Start with the state of that cluster; or with --bootstrap=new to begin another and leave these ' +
        'reservations alone.',
    },
  );
}
