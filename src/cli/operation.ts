import type { PublishedView } from '../protocol/view.ts';
import type { SchedulerClient } from '../runtime/scheduler-client.ts';

/** What the commands that change something share: whom they ask, and how they wait for what they asked for. */
export interface OperationFlags {
  readonly scheduler: string;
  readonly tokenFile?: string;
  readonly wait: boolean;
  readonly json?: true;
}

/** Between two looks at what is under way. */
const LOOK_MS = 500;

export async function connect({ scheduler, tokenFile }: OperationFlags): Promise<SchedulerClient> {
  const { createSchedulerClient, readToken } = await import('../runtime/scheduler-client.ts');
  const token = tokenFile === undefined ? null : await readToken(tokenFile);
  return createSchedulerClient(scheduler, { outlastRestart: true, token });
}

/** How an operation stands: its last word once it is over, `null` until then. */
export type Progress = { readonly isDone: boolean; readonly text: string } | null;

/**
 * Looks until it is over, and tells the story of these slots meanwhile.
 * @param options.since the newest line of the story that was there before.
 */
export async function waitFor(
  client: SchedulerClient,
  options: {
    readonly slots: readonly string[];
    readonly since: number;
    /** Nothing is printed but the last word. */
    readonly isQuiet: boolean;
    readonly judge: (view: PublishedView) => Progress;
  },
): Promise<void> {
  const { createSystemClock } = await import('../runtime/clock.ts');
  const clock = createSystemClock();
  const { slots, isQuiet, judge } = options;
  let { since } = options;
  for (;;) {
    const view = await client.view();
    const fresh = view.story.filter((line) => line.sequence > since);
    since = fresh.at(-1)?.sequence ?? since;
    for (const { slot, text, reason } of isQuiet ? [] : fresh) {
      if (slot !== null && slots.includes(slot)) process.stdout.write(`${slot}: ${text} (${reason})\n`);
    }
    const progress = judge(view);
    if (progress !== null) {
      if (!isQuiet || !progress.isDone) {
        (progress.isDone ? process.stdout : process.stderr).write(`${progress.text}\n`);
      }
      process.exitCode = progress.isDone ? 0 : 1;
      return;
    }
    await clock.sleep(LOOK_MS);
  }
}

/** The newest line of the story that a view holds. */
export function newestLine(view: PublishedView): number {
  return view.story.at(-1)?.sequence ?? -1;
}
