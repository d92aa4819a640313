import { expect, test } from 'vitest';
import { renderOffers } from '../../src/cli/offers-table.ts';
import type { DebugOffers } from '../../src/protocol/view.ts';

const plain = (text: string): string => text;

function answer(offers: number): DebugOffers {
  return {
    summary: [
      {
        'pod-instance-name': 'etcd-2',
        since: '2026-01-02T03:04:05.000Z',
        last: '2026-01-02T03:05:06.000Z',
        looked: 412,
        fitted: 0,
        failed: [
          { requirement: 'cpus', offers: 400 },
          { requirement: 'hostname UNIQUE', offers: 12 },
        ],
      },
    ],
    offers: Array.from({ length: offers }, (_, at) => ({
      timestamp: '2026-01-02T03:05:06.000Z',
      'pod-instance-name': 'etcd-2',
      outcome: 'fail' as const,
      explanation: 'cpus: 1 needed, 0.5 free, 0.5 missing',
      requirements: [],
      offer: { id: `O${at}`, agent_id: `S${at}`, hostname: `agent-${at}`, zone: at === 0 ? 'z1' : null },
    })),
  };
}

test('the summary comes first, then each offer and what it lacks', () => {
  expect(renderOffers(answer(2), plain)).toBe(
    [
      'etcd-2: 412 offers looked at from 03:04:05 to 03:05:06, none fits',
      '  400 of 412 fail on cpus',
      '  12 of 412 fail on hostname UNIQUE',
      '  03:05:06 fail agent-0 in z1 O0',
      '    cpus: 1 needed, 0.5 free, 0.5 missing',
      '  03:05:06 fail agent-1 O1',
      '    cpus: 1 needed, 0.5 free, 0.5 missing',
      '',
    ].join('\n'),
  );
});

test('the newest are listed, and how many came before them is said', () => {
  const text = renderOffers(answer(30), plain);
  expect(text).not.toContain('agent-9 ');
  expect(text).toContain('agent-29 ');
  expect(text).toContain('… and 10 before these, which --json lists');
});

test('nothing that was judged is said to be nothing', () => {
  expect(renderOffers({ summary: [], offers: [] }, plain)).toContain('no member has looked for a place');
});
