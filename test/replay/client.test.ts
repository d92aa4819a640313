import { describe, it } from 'vitest';
import { replayClient } from './client-replay.ts';
import { readTrace, traceNames } from './trace.ts';

describe('our client, in the recorded conversations', () => {
  it.each(traceNames())('%s: sends what was sent and tells of what came', async (name) => {
    await replayClient(readTrace(name));
  });
});
