import { describe, expect, test } from 'vitest';
import { formatBytes } from '../../src/cli/amounts.ts';
import { createLiveScreen, type Terminal } from '../../src/cli/live-screen.ts';
import { renderStatus } from '../../src/cli/status-table.ts';
import { paintFor, plain } from '../../src/cli/style.ts';
import type { PublishedView } from '../../src/protocol/view.ts';
import { emptySlot, sampleArchive, sampleMember, sampleView } from '../framework/sample-view.ts';

const CASES: Readonly<Record<string, PublishedView>> = {
  healthy: sampleView({ archive: sampleArchive() }),
  'archive away': sampleView({
    archive: sampleArchive({
      state: 'away',
      problem: 'connect ECONNREFUSED 10.0.0.7:9000',
      seenRevision: '9007199254740999',
      lagMs: 754_321,
      waitingBytes: 4096,
      spooledBytes: 3_145_728,
      fullWanted: 'revisions 70 to 79 are not in the log: lost',
      lastVerification: {
        atMs: Date.UTC(2026, 0, 1),
        revision: '9007199254740000',
        proofsCompared: 12,
        problems: ['the proof of revision 80 does not agree'],
      },
      gaps: [{ reason: 'lost', from: '70', to: '79' }],
    }),
  }),
  'archive refused': sampleView({
    archive: sampleArchive({
      id: null,
      state: 'refused',
      problem: '/mnt/archive holds the archive of web, not of etcd',
      archivedRevision: '0',
      seenRevision: '0',
      lastFull: null,
      lastProof: null,
      lastVerification: null,
      nextFullAtMs: null,
    }),
  }),
  forming: sampleView({
    warnings: [{ code: 'no-archive', message: 'no archive is configured' }],
    framework: { name: 'etcd', id: null, generation: 1 },
    epoch: null,
    health: { state: 'forming', voters: 0, healthyVoters: 0, leader: null },
    members: [emptySlot('etcd-0'), emptySlot('etcd-1'), emptySlot('etcd-2')],
    endpoints: { client: [], peer: [] },
    blocked: [
      {
        code: 'waits-for-offers',
        slot: 'etcd-0',
        message: 'no agent has 8192 MiB of memory: the largest has 4096 MiB, 4096 MiB are missing',
      },
    ],
    mesos: { ...sampleView().mesos, master: null, subscribed: false, problem: 'http://m:5050 refuses' },
  }),
  repairing: sampleView({
    health: { state: 'degraded', voters: 3, healthyVoters: 2, leader: 'fd422379fda50e48' },
    members: [
      sampleMember(0, {
        leader: false,
        healthy: false,
        mesosState: 'TASK_UNREACHABLE',
        revision: null,
        etcdVersion: null,
        dbSizeBytes: null,
        phase: null,
        problem: 'its agent is out of reach for 12 s',
      }),
      sampleMember(1, { leader: true, restarts: 2, warnings: ['etcd 3.4.23: a watch may go back in time'] }),
      sampleMember(2, { warnings: ['etcd 3.4.23: a watch may go back in time'] }),
      sampleMember(0, {
        seat: 'etcd-0-new',
        leader: false,
        healthy: false,
        memberId: '1a2b3c',
        role: 'learner',
        hostname: 'node-7.example',
        dbSizeBytes: 3_221_225_472,
      }),
    ],
    intent: { slot: 'etcd-0', step: 'waits for the learner to catch up', reason: 'agent-0 is gone' },
  }),
  'update failed': sampleView({
    plans: [
      {
        name: 'recovery',
        status: 'COMPLETE',
        strategy: 'parallel',
        phases: [],
        errors: [],
        paused: { by: 'alice at 10.0.0.9', atMs: 0 },
      },
      {
        name: 'update',
        status: 'ERROR',
        strategy: 'serial',
        phases: [
          {
            id: 'p',
            name: 'etcd',
            status: 'ERROR',
            strategy: 'serial',
            steps: [
              { id: 'a', name: 'etcd-0:[server]', status: 'COMPLETE', message: 'etcd-0' },
              {
                id: 'b',
                name: 'etcd-1:[server]',
                status: 'ERROR',
                message: 'it did not serve again in 600 s',
              },
            ],
          },
        ],
        errors: ['etcd-1: it did not serve again in 600 s'],
      },
    ],
  }),
  'quorum lost': sampleView({
    health: { state: 'quorum-lost', voters: 3, healthyVoters: 1, leader: null },
    blocked: [{ code: 'quorum-lost', slot: null, message: 'etcd-1 and etcd-2 have ended' }],
  }),
};

describe('the status table', () => {
  test.for(Object.entries(CASES))('%s', async ([name, view]) => {
    await expect(renderStatus(view, plain)).toMatchFileSnapshot(
      `golden/status-${name.replaceAll(' ', '-')}.txt`,
    );
  });

  test('is coloured on a terminal, and not where NO_COLOR is set or it is a pipe', () => {
    const terminal = { isTTY: true };
    expect(renderStatus(sampleView(), paintFor(terminal, {}))).toContain('\u001b[32mhealthy\u001b[39m');
    for (const paint of [
      paintFor(terminal, { NO_COLOR: '1' }),
      paintFor(terminal, { TERM: 'dumb' }),
      paintFor({}, {}),
    ]) {
      expect(renderStatus(sampleView(), paint)).toBe(renderStatus(sampleView(), plain));
    }
  });

  test('a cluster that is to have more members says so', () => {
    expect(renderStatus(sampleView({ size: 5 }), plain)).toContain('3 of 3 voters healthy, 5 wanted\n');
  });

  test('shows sizes for people', () => {
    expect([0, 1023, 1024, 20_480, 2 ** 31].map(formatBytes)).toEqual([
      '0 B',
      '1023 B',
      '1.0 KiB',
      '20.0 KiB',
      '2.0 GiB',
    ]);
  });
});

describe('the live screen', () => {
  const terminalOf = (isTTY: boolean, columns = 100, rows = 40): Terminal & { text: string } => ({
    isTTY,
    columns,
    rows,
    text: '',
    write(text) {
      this.text += text;
    },
  });
  const [first, second] = sampleView().story;

  test('in a pipe says each thing once, with its reason', () => {
    const terminal = terminalOf(false);
    const screen = createLiveScreen(terminal, plain);
    screen.show(sampleView({ story: first === undefined ? [] : [first] }));
    screen.show(sampleView());
    screen.show(sampleView());
    screen.ready(['3 healthy members']);
    expect(terminal.text.split('\n')).toEqual([
      '03:04:01.000 etcd-0  launched (new cluster)',
      '03:04:03.000 -       cluster formed (quorum)',
      '3 healthy members',
      '',
    ]);
    expect(second?.text).toBe('cluster formed');
  });

  test('on a terminal draws over what it drew, only when something changed', () => {
    const terminal = terminalOf(true);
    const screen = createLiveScreen(terminal, plain);
    screen.show(sampleView());
    const drawn = terminal.text;
    const lines = drawn.split('\n').length - 1;
    screen.show(sampleView());
    expect(terminal.text).toBe(drawn);
    screen.show(sampleView({ generation: 3 } as Partial<PublishedView>));
    expect(terminal.text).toBe(drawn);
    screen.show(CASES['repairing'] ?? sampleView());
    expect(terminal.text.slice(drawn.length)).toMatch(new RegExp(`^\\u001b\\[${lines}A\\r\\u001b\\[J`));
  });

  test('on a small terminal neither wraps nor scrolls', () => {
    const terminal = terminalOf(true, 40, 10);
    const screen = createLiveScreen(terminal, paintFor({ isTTY: true }, {}));
    screen.show(CASES['repairing'] ?? sampleView());
    const lines = terminal.text.trimEnd().split('\n');
    expect(lines.length).toBeLessThanOrEqual(9);
    for (const line of lines) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what the terminal does not show
      expect(line.replace(/\u001b\[\d*[A-Zm]|\r/g, '').length).toBeLessThanOrEqual(40);
    }
  });
});
