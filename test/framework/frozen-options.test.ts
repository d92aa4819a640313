import { describe, expect, it } from 'vitest';
import { type LogKind, type StateStore, StateStoreError } from '../../src/base/ports.ts';
import type { SchedulerConfig } from '../../src/framework/config.ts';
import { refuseFrozen } from '../../src/framework/frozen-options.ts';
import { silentLogger } from '../silent-logger.ts';
import { CONFIG, record, seat } from './fixtures.ts';

function logs(): Pick<StateStore, 'append' | 'read'> & { readonly entries: string[]; fails: boolean } {
  const entries: string[] = [];
  const store = {
    entries,
    fails: false,
    append: (_kind: LogKind, entry: string) => {
      entries.push(entry);
      return Promise.resolve();
    },
    read: () =>
      store.fails ? Promise.reject(new StateStoreError('unavailable', 'away')) : Promise.resolve(entries),
  };
  return store;
}

const withMember = record({ seats: [seat()] });
const framework = (changes: Partial<SchedulerConfig['framework']>): SchedulerConfig => ({
  ...CONFIG,
  framework: { ...CONFIG.framework, ...changes },
});

describe('options that may not change', () => {
  const start = async (
    store: ReturnType<typeof logs>,
    config: SchedulerConfig,
    stored: typeof withMember | null = withMember,
  ) => await refuseFrozen(stored, { config, store: store as unknown as StateStore, log: silentLogger });

  it('are those of the first start until there is no member', async () => {
    const store = logs();
    await start(store, CONFIG, null);
    await start(store, CONFIG);
    expect(store.entries).toHaveLength(1);
    for (const [changed, option, before, now] of [
      [framework({ role: 'other' }), '--role', CONFIG.framework.role, 'other'],
      [framework({ user: 'root' }), '--user', CONFIG.framework.user, 'root'],
      [
        { ...CONFIG, storage: { ...CONFIG.storage, kind: 'sandbox' as const } },
        '--storage',
        'persistent',
        'sandbox',
      ],
    ] as const) {
      await expect(start(store, changed)).rejects.toMatchObject({
        code: 'option-frozen',
        message: expect.stringContaining(`${option} is "${now}" and was "${before}"`) as string,
        hint: expect.stringContaining(`${option} ${before}`) as string,
      });
    }
    await start(store, framework({ role: 'other' }), record());
    await start(store, framework({ role: 'other' }));
    await expect(start(store, CONFIG)).rejects.toMatchObject({ code: 'option-frozen' });
  });

  it('that nobody wrote down are written down, and taken as they are while they cannot be read', async () => {
    const store = logs();
    await start(store, CONFIG);
    expect(store.entries).toHaveLength(1);
    store.fails = true;
    await start(store, framework({ user: 'root' }));
  });
});
