import { describeError } from '../base/errors.ts';
import { type Logger, type StateStore, StateStoreError } from '../base/ports.ts';
import type { ClusterRecord } from '../protocol/record.ts';
import { type SchedulerConfig, SchedulerError } from './config.ts';

/*
 * What a cluster was made with and cannot be changed while it has members: refused before anything is touched. What
 * its places do not tell is written down beside the record, where earlier releases do not look.
 */

const REMEMBERED = 'options';

/**
 * Rejects with a {@link SchedulerError} `wrong-record` or `option-frozen`.
 * @param stored the record that is taken over; `null`: a new one has just been made.
 */
export async function refuseFrozen(
  stored: ClusterRecord | null,
  of: { readonly config: SchedulerConfig; readonly store: StateStore; readonly log: Logger },
): Promise<void> {
  const { config, store, log } = of;
  if (stored !== null && stored.framework.name !== config.framework.name) throw wrongRecord(stored, config);
  const now = { role: config.framework.role, user: config.framework.user };
  try {
    const before = stored === null ? null : await remembered(store);
    const places = stored === null ? [] : [...stored.seats, ...stored.leaving.map(({ seat }) => seat)];
    if (places.length > 0) {
      const kind = places.find(({ storage }) => storage !== config.storage.kind)?.storage;
      if (kind !== undefined) throw frozen('--storage', kind, config.storage.kind);
      if (before !== null && before.role !== now.role) throw frozen('--role', before.role, now.role);
      if (before !== null && before.user !== now.user) throw frozen('--user', before.user, now.user);
    }
    if (before?.role === now.role && before.user === now.user) return;
    await store.append('plans', JSON.stringify({ what: REMEMBERED, ...now }));
  } catch (error) {
    if (!(error instanceof StateStoreError)) throw error;
    log.warn('whether options changed that may not is not known', { error: describeError(error) });
  }
}

type Remembered = Pick<SchedulerConfig['framework'], 'role' | 'user'>;

async function remembered(store: StateStore): Promise<Remembered | null> {
  const entries = (await store.read('plans')).toReversed();
  for (const entry of entries) {
    const { what, role, user } = JSON.parse(entry) as Readonly<Record<string, unknown>>;
    if (what === REMEMBERED && typeof role === 'string' && typeof user === 'string') return { role, user };
  }
  return null;
}

const WHY: Readonly<Record<'--storage' | '--role' | '--user', string>> = {
  '--storage': 'data is not moved between volumes and sandboxes',
  '--role': 'the places of the members are reserved for the former, and are offered to no other',
  '--user': 'the members’ data belongs to the former, and the other may not read it',
};

function frozen(option: keyof typeof WHY, before: string, now: string): SchedulerError {
  return new SchedulerError(
    'option-frozen',
    `${option} is ${JSON.stringify(now)} and was ${JSON.stringify(before)} when the members were placed: ${WHY[option]}`,
    {
      hint: `Start with ${option} ${before} again; for another a new cluster has to be made. Nothing was touched.`,
    },
  );
}

function wrongRecord(stored: ClusterRecord, config: SchedulerConfig): SchedulerError {
  return new SchedulerError(
    'wrong-record',
    `the stored record is that of framework '${stored.framework.name}', not '${config.framework.name}'`,
    { hint: 'Give every framework a state directory of its own; a framework cannot be renamed.' },
  );
}
