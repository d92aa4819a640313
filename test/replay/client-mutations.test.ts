import { describe, expect, it } from 'vitest';
import { createChance } from '../sim/prng.ts';
import { ReplayMismatch, replayClient } from './client-replay.ts';
import { type Mutation, mutations, wireParts } from './mutate.ts';
import { readTrace, type TraceEntry, traceNames } from './trace.ts';

const MUTATIONS = Number(process.env['MUTATIONS'] ?? 30);
const SEED = Number(process.env['SEED'] ?? 1);

describe('a recording that was changed in one field', () => {
  console.log(`seed ${SEED}; again: SEED=${SEED} npx vitest run --project replay client-mutations`);
  const random = createChance(SEED).stream('mutations');
  const traces = new Map(traceNames().map((name) => [name, readTrace(name)]));
  const possible = new Map([...traces].map(([name, trace]) => [name, mutations(trace, wireParts)]));

  /** A change that matters, in a recording and at a place that chance picks. */
  const pick = (): { readonly name: string; readonly trace: readonly TraceEntry[]; mutation: Mutation } => {
    for (;;) {
      const [name, trace] = random.pick([...traces]);
      const mutation = random.pick(possible.get(name) ?? [])();
      if (mutation !== null) return { name, trace, mutation };
    }
  };

  it.each(Array.from({ length: MUTATIONS }, pick))(
    '$name is noticed: $mutation.what',
    async ({ trace, mutation }) => {
      await expect(replayClient(trace, mutation.mutated)).rejects.toBeInstanceOf(ReplayMismatch);
    },
  );
});
