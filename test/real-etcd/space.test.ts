import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createKvClient } from '../../src/etcd/client.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import type { PrefixReport } from '../../src/protocol/orders.ts';
import { createSystemClock } from '../../src/runtime/clock.ts';
import { etcdBinaries } from './binaries.ts';
import { createSupervisedMember, type SupervisedMember } from './supervised-member.ts';

const clock = createSystemClock();
const QUOTA_BYTES = 20 * 1024 * 1024;

describe.for(etcdBinaries().map((binary) => [binary.version.text, binary] as const))(
  'etcd %s',
  ([, binary]) => {
    let member: SupervisedMember;
    beforeEach(async () => {
      member = await createSupervisedMember(binary.path);
      const { etcd } = member.launch;
      await member.start({ launch: { etcd: { ...etcd, quotaBytes: QUOTA_BYTES } } });
      await member.bootstrap();
    });
    afterEach(async () => await member.close());

    const put = async (entries: readonly (readonly [key: string, bytes: number])[]): Promise<void> => {
      const keys = createKvClient({ url: clientUrlOf(member.launch) }, clock);
      try {
        for (const [key, bytes] of entries) await keys.put(key, 'x'.repeat(bytes), AbortSignal.timeout(5000));
      } finally {
        keys.close();
      }
    };

    test('its largest prefixes are measured, values of any size', async () => {
      const pods = Array.from({ length: 300 }, (_, index) => [`/registry/pods/a/p${index}`, 1_000] as const);
      const large = Array.from(
        { length: 6 },
        (_, index) => [`/registry/secrets/s${index}`, 1_200_000] as const,
      );
      await put([...pods, ...large, ['other', 10]]);
      const receipt = await member.order({ kind: 'measure-space', args: { limitMs: 10_000 } });
      expect(receipt).toMatchObject({ outcome: 'done', problem: null });
      const report = receipt.finding as PrefixReport;
      expect(report).toMatchObject({ keys: 307, complete: true, lastKey: null });
      expect(report.prefixes[0]).toMatchObject({ prefix: '/registry/', keys: 306 });
      expect(report.prefixes[1]).toMatchObject({ prefix: '/registry/secrets/s', keys: 6 });
      expect(report.prefixes[1]?.bytes).toBe(6 * (1_200_000 + '/registry/secrets/s0'.length));
    });

    test('what fills it up with history is brought back by orders, and the alarm is disarmed', async () => {
      const filling = Array.from({ length: 40 }, () => ['key', 1_000_000] as const);
      await expect(put(filling)).rejects.toMatchObject({ code: 'no-space' });
      const full = await member.statusWhere(
        'it tells of the alarm',
        ({ probe }) => probe?.alarms[0]?.alarm === 'NOSPACE',
      );
      const { revision = '0', memberId = '', dbSizeBytes = 0 } = full.probe ?? {};
      expect(full).toMatchObject({ phase: 'running', problem: null, dataProblem: null });
      expect(await member.order({ kind: 'compact', args: { revision } })).toMatchObject({ outcome: 'done' });
      const run = { kind: 'defragment', args: { run: 'run-1', limitMs: 20_000 } } as const;
      expect(await member.order(run)).toMatchObject({ outcome: 'done' });
      const after = await member.statusWhere(
        'it answers',
        ({ probe }) => (probe?.dbSizeBytes ?? dbSizeBytes) < dbSizeBytes,
      );
      expect(after).toMatchObject({ busy: null, space: { defragmented: 'run-1', compacted: revision } });
      expect(after.probe?.dbSizeBytes).toBeLessThan(QUOTA_BYTES / 4);
      expect(after.probe?.alarms).toEqual([{ memberId, alarm: 'NOSPACE' }]);
      await member.order({ kind: 'disarm', args: { memberId, alarm: 'NOSPACE' } });
      await put([['key', 1_000]]);
      const calm = await member.statusWhere(
        'no alarm stands',
        ({ probe }) => probe?.alarms.length === 0 && BigInt(probe.revision) > BigInt(revision),
      );
      const at = calm.probe?.revision ?? '0';
      const hash = await member.order({ kind: 'hash-kv', args: { revision: at } });
      expect(hash.finding).toMatchObject({ kind: 'hash-kv', revision: at, compactRevision: revision });
      expect((await member.status()).space.hash).toMatchObject({ revision: at, compactRevision: revision });
      expect(await member.order({ kind: 'hash-kv', args: { revision: '2' } })).toMatchObject({
        outcome: 'failed',
        problem: 'revision-unavailable',
      });
    });
  },
);
