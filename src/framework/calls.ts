import type { Call } from '../mesos/wire.ts';
import type { Action } from '../reconcile/decision.ts';
import type { PendingAck } from './mesos-view.ts';

/** What the scheduler says to the master besides what it does with offers. */

export function ackCall(ack: PendingAck): Call {
  if (ack.kind === 'task') {
    const { taskId, agentId, uuid } = ack;
    return {
      type: 'ACKNOWLEDGE',
      acknowledge: { agent_id: { value: agentId }, task_id: { value: taskId }, uuid },
    };
  }
  return {
    type: 'ACKNOWLEDGE_OPERATION_STATUS',
    acknowledge_operation_status: {
      ...(ack.agentId === null ? {} : { agent_id: { value: ack.agentId } }),
      uuid: ack.uuid,
      operation_id: { value: ack.operationId },
    },
  };
}

export function killCall(action: Action & { kind: 'kill' }): Call {
  return {
    type: 'KILL',
    kill: {
      task_id: { value: action.task },
      agent_id: { value: action.agentId },
      kill_policy: { grace_period: { nanoseconds: action.graceMs * 1_000_000 } },
    },
  };
}

/** Ids of the tasks that an ACCEPT launches. */
export function launchedBy(call: Call & { type: 'ACCEPT' }): readonly string[] {
  return call.accept.operations.flatMap((operation) =>
    operation.type === 'LAUNCH' ? operation.launch.task_infos.map((task) => task.task_id.value) : [],
  );
}
