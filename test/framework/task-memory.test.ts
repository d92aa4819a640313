import { expect, test } from 'vitest';
import { memorySharesOf } from '../../src/framework/task-memory.ts';

test.each([256, 320, 448, 2048, 65_536])('supervisor and etcd together stay within %i MiB', (memMb) => {
  const { supervisorHeapMb, etcdMb } = memorySharesOf(memMb);
  expect(supervisorHeapMb).toBeLessThan(128);
  expect(etcdMb).toBeGreaterThanOrEqual(64);
  expect(128 + etcdMb).toBeLessThan(memMb);
});
