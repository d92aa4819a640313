import type { Master } from './master-state.ts';

/** Where a request for `path` (with its query) goes from here; `null` where nobody leads. */
export function redirection(master: Master, path: string): string | null {
  const { leadership, config } = master;
  const leader = leadership.kind === 'leading' ? config : leadership.leader;
  if (leader === null) return null;
  const base = `//${leader.hostname}:${leader.port}`;
  const own = path.startsWith('/master/') ? path : `/master${path}`;
  return own === '/master/redirect' ? base : `${base}${own}`;
}
