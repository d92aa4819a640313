import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  atLeast,
  countPorts,
  hasPort,
  lowestPorts,
  mountsOf,
  normalizeRanges,
  poolsOf,
  rangesOf,
} from '../../src/framework/resources.ts';

describe('scalars', () => {
  it('are compared in thousandths, as Mesos rounds them', () => {
    expect(atLeast(0.1 + 0.2, 0.3)).toBe(true);
    expect(atLeast(0.3, 0.1 + 0.2)).toBe(true);
    expect(atLeast(0.299, 0.3)).toBe(false);
    expect(atLeast(0.2996, 0.3)).toBe(true);
  });
});

describe('ports', () => {
  const ranges = fc.array(
    fc.record({ begin: fc.integer({ min: 1, max: 60 }), width: fc.integer({ min: 0, max: 9 }) }),
    { maxLength: 6 },
  );
  const portsOf = (list: readonly { begin: number; width: number }[]): Set<number> =>
    new Set(list.flatMap(({ begin, width }) => Array.from({ length: width + 1 }, (_, at) => begin + at)));

  it('are the same in joined ranges (property)', () => {
    fc.assert(
      fc.property(ranges, (list) => {
        const ports = portsOf(list);
        const joined = normalizeRanges(list.map(({ begin, width }) => ({ begin, end: begin + width })));
        expect(countPorts(joined)).toBe(ports.size);
        for (const port of ports) expect(hasPort(joined, port)).toBe(true);
        expect(rangesOf([...ports])).toEqual(joined);
      }),
    );
  });

  it('are taken lowest first, as a block where there is one, and never one to avoid (property)', () => {
    fc.assert(
      fc.property(ranges, fc.uniqueArray(fc.integer({ min: 1, max: 70 })), (list, taken) => {
        const offered = list.map(({ begin, width }) => ({ begin, end: begin + width }));
        const avoid = new Set(taken);
        const free = [...portsOf(list)].filter((port) => !avoid.has(port)).sort((a, b) => a - b);
        const block = free.find((port) => free.includes(port + 1) && free.includes(port + 2));
        const expected =
          block !== undefined ? [block, block + 1, block + 2] : free.length >= 3 ? free.slice(0, 3) : null;
        expect(lowestPorts(offered, 3, avoid)).toEqual(expected);
      }),
    );
  });
});

describe('what a resource provider offers', () => {
  const disk = { name: 'disk', type: 'SCALAR', scalar: { value: 100 } } as const;
  const mounted = { ...disk, disk: { source: { type: 'MOUNT', mount: { root: '/mnt/1' } } } };
  const provider = { provider_id: { value: 'csi-1' } };

  it('is left alone: Mesos takes no operation on it together with what is the agent’s own', () => {
    expect(mountsOf([mounted, { ...mounted, ...provider }], 'etcd').map(({ resource }) => resource)).toEqual([
      mounted,
    ]);
    expect(poolsOf([disk, { ...disk, ...provider }], 'etcd').map((pool) => pool.disk)).toEqual([100]);
  });
});
