import type { ReceivedTaskStatus } from '../mesos/wire.ts';
import type { TaskEvidence } from '../reconcile/observation.ts';
import { rowOf, SOURCES } from './task-states.ts';

/**
 * What one status is evidence for, on its own; `null`: nothing is concluded from it. A source that is missing or
 * not known is taken for the master.
 * @param heardAtMs when it was heard: waits are reckoned from it, and agents' clocks are not ours.
 */
export function evidenceOf(status: ReceivedTaskStatus, heardAtMs: number): TaskEvidence | null {
  const source = SOURCES.find((one) => one === status.source) ?? 'SOURCE_MASTER';
  const reason = status.reason ?? '';
  const agentId = status.agent_id?.value ?? null;
  const standing = rowOf(status.state, source, reason)?.standing ?? 'ignored';
  switch (standing) {
    case 'ignored':
      return null;
    case 'alive':
      return { kind: 'alive', state: status.state, agentId, healthy: status.healthy ?? null };
    case 'unreachable':
      return { kind: 'unreachable', state: status.state, agentId };
    case 'ended':
    case 'asserted':
    case 'never-ran': {
      const message = withWords(status.message ?? '');
      return {
        kind: 'over',
        end: { standing, state: status.state, source, reason, message, atMs: heardAtMs },
        agentId,
      };
    }
  }
}

/** What a member's task means by its exit code; see `docs/exit-codes.md`. */
const EXIT_WORDS: ReadonlyMap<string, string> = new Map([
  ['2', 'its launch is not one that it understands'],
  ['4', 'a port that was reserved for it is in use'],
  ['7', 'etcd or setpriv is missing there, does not run, or is of a version that is refused'],
  ['9', 'the archive that it was to run from is not the one that was meant'],
]);

/** Mesos tells of a command no more than its exit code. */
function withWords(message: string): string {
  const words = EXIT_WORDS.get(/^Command exited with status (\d+)$/.exec(message)?.[1] ?? '');
  return words === undefined ? message : `${message}: ${words}; the task’s stderr says more`;
}

/**
 * What is believed after hearing `next`. A proven end stays; a task that has run and is now said to have never
 * been launched (a duplicate id, a confused agent) is neither.
 */
export function mergeEvidence(before: TaskEvidence | undefined, next: TaskEvidence): TaskEvidence {
  if (before === undefined) return next;
  if (before.kind === 'over' && before.end.standing === 'ended') return before;
  if (next.kind === 'alive') return { ...next, healthy: next.healthy ?? healthOf(before) };
  if (next.kind === 'over' && next.end.standing === 'never-ran' && hasRun(before)) {
    // These name the duplicate that was refused, not the task that runs under the same id.
    if (next.end.state === 'TASK_ERROR' || next.end.reason === 'REASON_INVALID_OFFERS') return before;
    return { ...next, end: { ...next.end, standing: 'asserted' } };
  }
  if (before.kind === 'over' && before.end.standing === 'never-ran' && next.kind === 'over') return before;
  return next;
}

function hasRun(evidence: TaskEvidence): boolean {
  return evidence.kind === 'unreachable' || (evidence.kind === 'alive' && evidence.state !== 'TASK_STAGING');
}

function healthOf(evidence: TaskEvidence): boolean | null {
  return evidence.kind === 'alive' ? evidence.healthy : null;
}
