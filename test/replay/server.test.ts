import { describe, expect, it } from 'vitest';
import { batchAllocations, replayServer } from './server-replay.ts';
import { SERVER_SCRIPTS } from './server-scripts.ts';
import { readTrace, traceNames } from './trace.ts';

describe('the local Mesos answers as the real one did', () => {
  it.each(Object.entries(SERVER_SCRIPTS))('%s', (name, script) => {
    const trace = readTrace(name);
    replayServer(trace, { script, allocationsMs: batchAllocations(trace, script) });
  });

  it('in every recording', () => {
    expect(Object.keys(SERVER_SCRIPTS).sort()).toEqual(traceNames());
  });
});
