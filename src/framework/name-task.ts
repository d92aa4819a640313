import type { Resource, TaskInfo } from '../mesos/wire.ts';
import type { Seat } from '../protocol/record.ts';
import { clientCheckOf } from './client-check.ts';
import type { FrameworkConfig } from './config.ts';
import { DISCOVERY, VIP_LABEL } from './dns-names.ts';
import { type Ownership, taskLabels } from './labels.ts';

/** A name task's launch. `docs/adr/0004-name-tasks.md` tells why it is one, and what it runs. */
export interface NameTaskInput {
  readonly framework: FrameworkConfig;
  readonly owner: Ownership;
  readonly seat: Seat;
  readonly task: string;
  readonly resources: readonly Resource[];
}

/** Seconds between two looks at the client port, and looks in a row that find it closed until the name ends. */
export const NAME_WATCH = { lookS: 5, closedLooksMax: 6 } as const;

/** The Mesos task that stands for the client port of a seat's member. Pure. */
export function nameTaskInfoOf({ framework, owner, seat, task, resources }: NameTaskInput): TaskInfo {
  const { client } = seat.ports;
  return {
    name: DISCOVERY.client,
    task_id: { value: task },
    agent_id: { value: seat.agentId },
    resources,
    command: { shell: true, user: framework.user, value: commandOf(client) },
    // The VIP of DC/OS leaves out who is unhealthy, and looks at the task that carries its label.
    health_check: clientCheckOf(client),
    labels: taskLabels(owner, seat),
    discovery: {
      visibility: 'EXTERNAL',
      name: DISCOVERY.client,
      ports: {
        ports: [
          {
            number: client,
            name: 'client',
            protocol: 'tcp',
            visibility: 'EXTERNAL',
            labels: { labels: [VIP_LABEL] },
          },
        ],
      },
    },
  };
}

/**
 * Lives as long as somebody listens at the port: `/proc/net/tcp` shows its own host's sockets to every user, and
 * `sh`, `grep` and `sleep` are on every agent. In hexadecimal: local address and port, the other side's, and 0A for
 * a socket that listens.
 */
function commandOf(port: number): string {
  const local = port.toString(16).toUpperCase().padStart(4, '0');
  const listens = `grep -qs ': [0-9A-F]*:${local} [0-9A-F]*:0000 0A ' /proc/net/tcp /proc/net/tcp6`;
  return [
    'closed=0',
    `while [ "$closed" -lt ${NAME_WATCH.closedLooksMax} ]`,
    `do if ${listens}; then closed=0; else closed=$((closed + 1)); fi`,
    `sleep ${NAME_WATCH.lookS}`,
    'done',
    `echo 'nobody listens at port ${port} any more' >&2`,
    'exit 1',
  ].join('; ');
}
