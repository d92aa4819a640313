import { expect, test } from 'vitest';
import { spaceTable } from '../../src/cli/space.ts';
import type { SpaceAnswer } from '../../src/protocol/space-answer.ts';

const member = (slot: string, changes: Partial<SpaceAnswer['members'][number]> = {}) => ({
  slot,
  leader: false,
  dbSizeBytes: 100 * 2 ** 20,
  dbSizeInUseBytes: 25 * 2 ** 20,
  quotaBytes: 2 ** 31,
  alarms: [],
  busy: null,
  ...changes,
});

test('members and prefixes are told in columns; what a key holds does not move the cursor', () => {
  const alarms = [{ memberId: 'f1', alarm: 'NOSPACE' }];
  const text = spaceTable({
    members: [member('etcd-0', { leader: true, alarms }), member('etcd-1', { busy: 'defragmenting' })],
    prefixes: {
      slot: 'etcd-1',
      report: {
        kind: 'measure-space',
        keys: 3,
        bytes: 4_096,
        complete: false,
        lastKey: 'z\u001b[2J',
        prefixes: [{ prefix: '/registry/', keys: 2, bytes: 3_072 }],
      },
    },
  });
  expect(text.split('\n')).toEqual([
    'member          file       in use    free  quota    used  alarms',
    'etcd-0 (leads)  100.0 MiB  25.0 MiB  75 %  2.0 GiB  1 %   NOSPACE of f1',
    'etcd-1          100.0 MiB  25.0 MiB  75 %  2.0 GiB  1 %   defragmenting',
    '',
    '3 live keys, 4.0 KiB of keys and values, as etcd-1 has them; read up to z�[2J in the time there was',
    'bytes    part  keys  prefix',
    '3.0 KiB  75 %  2     /registry/',
    '',
  ]);
});

test('without prefixes it is said why', () => {
  const text = spaceTable({
    members: [member('etcd-0')],
    prefixes: { slot: null, problem: 'nobody serves' },
  });
  expect(text).toContain('the largest prefixes are not known: nobody serves\n');
});
