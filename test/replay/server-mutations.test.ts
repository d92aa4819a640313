import { describe, expect, it } from 'vitest';
import { createChance } from '../sim/prng.ts';
import { type Mutation, mutations, type Parts } from './mutate.ts';
import { batchAllocations, ReplayDifference, replayServer } from './server-replay.ts';
import { SERVER_SCRIPTS, type ServerScript } from './server-scripts.ts';
import { readTrace, type TraceEntry } from './trace.ts';

const MUTATIONS = Number(process.env['MUTATIONS'] ?? 30);
const SEED = Number(process.env['SEED'] ?? 1);

/** What a server says. Chunked or not is left to the socket; an empty stream-id would be another one. */
const serverParts: Parts = (entry) => {
  switch (entry.kind) {
    case 'event':
      return [['event']];
    case 'subscribe':
      return [
        ['response', 'status'],
        ['response', 'headers', 'content-type'],
        ['response', 'headers', 'location'],
        ['response', 'headers', 'www-authenticate'],
      ];
    case 'subscribe-refused':
      return [['status'], ['body']];
    case 'call':
    case 'http':
      return [
        ['response', 'status'],
        ['response', 'headers'],
        ['response', 'body'],
      ];
    default:
      return [];
  }
};

interface Case {
  readonly name: string;
  readonly script: ServerScript;
  readonly trace: readonly TraceEntry[];
  readonly mutation: Mutation;
}

describe('a recording that was changed in one field of an answer or event', () => {
  console.log(`seed ${SEED}; again: SEED=${SEED} npx vitest run --project replay server-mutations`);
  const random = createChance(SEED).stream('mutations');
  const recordings = Object.entries(SERVER_SCRIPTS).map(([name, script]) => {
    const trace = readTrace(name);
    return { name, script, trace, possible: mutations(trace, serverParts) };
  });

  /** A change that matters, in a recording and at a place that chance picks. */
  const pick = (): Case => {
    for (;;) {
      const { possible, ...recording } = random.pick(recordings);
      const mutation = random.pick(possible)();
      if (mutation !== null) return { ...recording, mutation };
    }
  };

  it.each(Array.from({ length: MUTATIONS }, pick))(
    '$name is noticed: $mutation.what',
    ({ trace, script, mutation }) => {
      // When the real master allocated is no part of what is compared.
      const allocationsMs = batchAllocations(trace, script);
      expect(() => replayServer(mutation.mutated, { script, allocationsMs })).toThrow(ReplayDifference);
    },
  );
});
