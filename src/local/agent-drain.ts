import type { FrameworkInfo } from '../mesos/wire.ts';
import { hasCapability, type Outcome } from './task-status.ts';

/** What an agent remembers of a drain until nothing runs on it any more. */
export interface AgentDrain {
  /** No task gets more from SIGTERM to SIGKILL; `null`: each has its own. */
  readonly maxGraceMs: number | null;
  /** The agent is gone for ever afterwards. */
  readonly markGone: boolean;
}

/** A task's grace period during a drain, given its own; `null` where neither is stated. */
export function drainGraceMs({ maxGraceMs }: AgentDrain, ownMs: number | null): number | null {
  return maxGraceMs === null || ownMs === null ? (maxGraceMs ?? ownMs) : Math.min(maxGraceMs, ownMs);
}

/**
 * What a killed task is told of during a drain. Of an agent that will be gone, frameworks that can tell hear so as
 * soon as the kill begins: the task still runs then.
 */
export function drainOutcome(
  { markGone }: AgentDrain,
  framework: FrameworkInfo | undefined,
  outcome: Outcome,
): Outcome {
  if (outcome.state !== 'TASK_KILLING' && outcome.state !== 'TASK_KILLED') return outcome;
  const isGone = markGone && framework !== undefined && hasCapability(framework, 'PARTITION_AWARE');
  const state = isGone ? 'TASK_GONE_BY_OPERATOR' : outcome.state;
  return { ...outcome, state, reason: 'REASON_AGENT_DRAINING' };
}
