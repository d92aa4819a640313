import { describe, expect, it } from 'vitest';
import { batchAllocations, replayServer } from './server-replay.ts';
import { NOT_REPLAYED, SERVER_SCRIPTS } from './server-scripts.ts';
import { readTrace, traceNames } from './trace.ts';

describe('the local Mesos answers as the real one did', () => {
  it.each(Object.entries(SERVER_SCRIPTS))('%s', (name, script) => {
    const trace = readTrace(name);
    replayServer(trace, { script, allocationsMs: batchAllocations(trace, script) });
  });

  it('knows of every recording whether it is replayed, and why not', () => {
    expect([...Object.keys(SERVER_SCRIPTS), ...Object.keys(NOT_REPLAYED)].sort()).toEqual(traceNames());
  });
});
