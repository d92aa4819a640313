import type { Leadership, LeadershipTerm } from '../../src/base/ports.ts';

/** An election in memory among any number of candidates: the first to stand leads until its term is ended. */
export interface MemoryElection {
  /** One process' view of the election. */
  candidate(url: string): Leadership;
  /** Who leads. */
  readonly leader: string | null;
  /** Ends the term of whoever leads, as the end of its session does. */
  endSession(): void;
}

interface Waiting {
  readonly url: string;
  readonly begin: (term: LeadershipTerm) => void;
}

export function createMemoryElection(): MemoryElection {
  let leader: { readonly url: string; readonly over: AbortController } | null = null;
  let waiting: readonly Waiting[] = [];

  const endTerm = (): void => {
    leader?.over.abort(new Error('the session ended'));
    leader = null;
    elect();
  };
  const elect = (): void => {
    const [next, ...rest] = waiting;
    if (leader !== null || next === undefined) return;
    waiting = rest;
    const mine = { url: next.url, over: new AbortController() };
    leader = mine;
    next.begin({
      over: mine.over.signal,
      holds: () => !mine.over.signal.aborted,
      resign: () => {
        if (leader === mine) endTerm();
        mine.over.abort(new Error('resigned'));
        return Promise.resolve();
      },
    });
  };

  return {
    get leader() {
      return leader?.url ?? null;
    },
    endSession: endTerm,
    candidate: (url) => ({
      leaderUrl: () => leader?.url ?? null,
      lead: (signal) =>
        new Promise((resolve, reject) => {
          const mine: Waiting = { url, begin: resolve };
          const leave = (): void => {
            waiting = waiting.filter((one) => one !== mine);
            reject(signal.reason as Error);
          };
          if (signal.aborted) return leave();
          signal.addEventListener('abort', leave, { once: true });
          waiting = [...waiting, mine];
          elect();
        }),
    }),
  };
}
