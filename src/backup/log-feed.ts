import type { Clock } from '../base/ports.ts';
import type { Backlog } from './backlog.ts';
import type { InboxEntry } from './inbox.ts';
import type { Lifetime } from './lifetime.ts';
import type { LogWriter } from './log-writer.ts';
import type { StoreRetry } from './store-retry.ts';

export interface LogFeedOptions {
  readonly log: LogWriter;
  readonly backlog: Backlog;
  readonly store: StoreRetry;
  readonly lifetime: Pick<Lifetime, 'running' | 'closed'>;
  /** How long revisions are gathered before they are written; 0: each is written as it comes. */
  readonly segmentMs: number;
  readonly clock: Clock;
  /** So many bytes were put into the store. */
  readonly onWritten: (bytes: number) => void;
}

/** Writes to the log what waits. */
export interface LogFeed {
  /** Writes what comes and, when the archiver is to end, what had come; less where the store does not take it. */
  run(): Promise<void>;
  /** `false` where the archiver ended before it was written. */
  write(entry: InboxEntry): Promise<boolean>;
}

export function createLogFeed(options: LogFeedOptions): LogFeed {
  const { log, backlog, store, lifetime, segmentMs, clock } = options;
  const { running, closed } = lifetime;

  /** Waits until what is there has been gathered for long enough, or is enough. */
  const gathered = async (): Promise<void> => {
    if (segmentMs === 0) return;
    const enough = new AbortController();
    const until = AbortSignal.any([running, enough.signal]);
    await Promise.race([clock.sleep(segmentMs, until), backlog.batchful(until)]);
    enough.abort();
  };
  const write = async (entry: InboxEntry): Promise<boolean> => {
    const bytesBefore = log.writtenBytes;
    const done = await store.persist('log', async () => {
      await writeEntry(log, entry);
      return true;
    });
    options.onWritten(log.writtenBytes - bytesBefore);
    return done !== null;
  };

  return {
    write,
    run: async () => {
      for (;;) {
        await backlog.something(running);
        await gathered();
        const entry = await backlog.peek(closed);
        if (entry === null) {
          if (running.aborted) return;
          continue;
        }
        if (!(await write(entry))) return;
        await backlog.drop();
      }
    },
  };
}

async function writeEntry(log: LogWriter, entry: InboxEntry): Promise<void> {
  switch (entry.kind) {
    case 'batch':
      await log.write(entry.batch);
      return;
    case 'gap':
      await log.skip(entry.gap);
      return;
    case 'proof':
      await log.prove(entry.proof);
      return;
  }
}
