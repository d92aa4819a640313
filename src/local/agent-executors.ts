import { type Agent, executorKey, type Master, tell } from './master-state.ts';
import type { AgentExecutor, AgentToMaster } from './messages.ts';

/** Takes the agent's word on which executors of task groups it runs; `mayBeOnTheirWay`: more were sent there. */
export function takeExecutors(agent: Agent, named: readonly AgentExecutor[], mayBeOnTheirWay: boolean): void {
  if (!mayBeOnTheirWay) agent.executors.clear();
  for (const executor of named) {
    agent.executors.set(executorKey(executor.frameworkId, executor.executor.executor_id.value), executor);
  }
}

/** An executor of task groups has ended: what it used is free, and its framework is told. */
export function takeExecutorEnd(
  master: Master,
  agent: Agent,
  { frameworkId, executorId, status }: Extract<AgentToMaster, { kind: 'executor-ended' }>,
): void {
  agent.executors.delete(executorKey(frameworkId, executorId));
  const framework = master.frameworks.get(frameworkId);
  if (framework === undefined) return;
  tell(master, framework, {
    type: 'FAILURE',
    failure: { agent_id: { value: agent.id }, executor_id: { value: executorId }, status },
  });
}

/** Its framework is over: they are told to end, and their agent will not tell of it. */
export function dropExecutors(master: Master, frameworkId: string): void {
  for (const { executors } of master.agents.values()) {
    for (const [key, executor] of executors) {
      if (executor.frameworkId === frameworkId) executors.delete(key);
    }
  }
}
