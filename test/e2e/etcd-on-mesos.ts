import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withDeadline } from '../../src/base/deadline.ts';
import type { HttpTransport } from '../../src/base/ports.ts';
import { createEtcdClient } from '../../src/etcd/client.ts';
import { ownerOf } from '../../src/framework/labels.ts';
import type { LocalCluster } from '../../src/local/local-cluster.ts';
import { readProcessTable } from '../../src/local/process-table.ts';
import { createFixedMasterSource } from '../../src/mesos/master-source.ts';
import { createOperatorClient } from '../../src/mesos/operator-client.ts';
import type { Resource } from '../../src/mesos/wire.ts';
import { clientUrlOf } from '../../src/protocol/launch.ts';
import type { EtcdMember } from '../../src/protocol/member-status.ts';
import { type ClusterRecord, parseRecord, type Seat } from '../../src/protocol/record.ts';
import { decodeStateFile } from '../../src/runtime/state-header.ts';
import { clock } from '../wait.ts';

/*
 * A cluster as it is seen from outside: by its record on disk, by etcd's members, by the master, and by the
 * processes of this machine. The scheduler is never asked.
 */

const ANSWER_MS_MAX = 3_000;
const NEVER = new AbortController().signal;

export function readRecord(stateDirectory: string): ClusterRecord {
  const path = join(stateDirectory, 'record');
  return parseRecord(decodeStateFile(readFileSync(path), path).bytes);
}

/** The member list by the word of a member that completes a linearizable read just now. */
export async function listMembers(url: string): Promise<readonly EtcdMember[]> {
  const client = createEtcdClient({ url }, clock);
  try {
    return await withDeadline(clock, ANSWER_MS_MAX, NEVER, async (signal) => {
      await client.confirmQuorum(signal);
      return await client.members(signal);
    });
  } finally {
    client.close();
  }
}

/** Whom a member believes to lead. */
export async function leaderId(url: string): Promise<string | null> {
  const client = createEtcdClient({ url }, clock);
  try {
    return await withDeadline(clock, ANSWER_MS_MAX, NEVER, async (signal) => {
      return (await client.status(signal)).leaderId;
    });
  } finally {
    client.close();
  }
}

/** By slot: the id of the voter that serves there. Throws where a slot has none, or the list holds anything else. */
export async function votersOf(record: ClusterRecord): Promise<ReadonlyMap<string, string>> {
  const voters = new Map<string, string>();
  for (const seat of record.seats) {
    const members = await listMembers(clientUrlOf(seat));
    const mine = members.filter(({ clientUrls }) => clientUrls.includes(clientUrlOf(seat)));
    const [member] = mine;
    if (mine.length !== 1 || member === undefined || member.isLearner || member.name === '') {
      throw new Error(`${seat.slot} is no voter: ${JSON.stringify(members)}`);
    }
    if (members.length !== record.seats.length) {
      throw new Error(`${members.length} members are listed: ${JSON.stringify(members)}`);
    }
    voters.set(seat.slot, member.id);
  }
  if (voters.size !== record.size) throw new Error(`${voters.size} of ${record.size} slots have a voter`);
  return voters;
}

/** Processes of this machine that were started in tasks of this cluster, by task id. */
export function taskProcesses(cluster: string): ReadonlyMap<string, readonly number[]> {
  const found = new Map<string, number[]>();
  for (const pid of readProcessTable().keys()) {
    const environment = environmentOf(pid);
    if (environment.get('ETCD_MESOS_LAUNCH')?.includes(`"cluster":"${cluster}"`) !== true) continue;
    const task = environment.get('ETCD_MESOS_TASK') ?? '';
    found.set(task, [...(found.get(task) ?? []), pid]);
  }
  return found;
}

/** The etcd processes of this machine that belong to this cluster, each with the seat it runs on. */
export function etcdProcesses(cluster: string): readonly { readonly pid: number; readonly seat: string }[] {
  return [...readProcessTable().keys()].flatMap((pid) => {
    const [owner, seat] = environmentOf(pid).get('MEMBER_OF_ETCD_MESOS')?.split('/') ?? [];
    return owner === cluster && seat !== undefined ? [{ pid, seat }] : [];
  });
}

function environmentOf(pid: number): ReadonlyMap<string, string> {
  try {
    const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
    return new Map(
      lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
    );
  } catch {
    return new Map();
  }
}

/** What a place holds of an agent. */
export interface Holding {
  readonly agentId: string;
  readonly cpus: number;
  readonly memMb: number;
  readonly diskMb: number;
  readonly ports: readonly number[];
  readonly volumes: readonly string[];
}

export function holdingOf(seat: Seat): Holding {
  const { agentId, ports, resources, nameShare, volumeId } = seat;
  const { cpus, memMb, diskMb } = resources;
  return {
    agentId,
    cpus: Math.round((cpus + (nameShare?.cpus ?? 0)) * 1000) / 1000,
    memMb: memMb + (nameShare?.memMb ?? 0),
    diskMb,
    ports: Object.values(ports).toSorted((a, b) => a - b),
    volumes: [volumeId],
  };
}

/** By the master's word: tasks that have not ended, by task id. */
export async function tasksOfMaster(cluster: LocalCluster, transport: HttpTransport) {
  const { tasks, unreachable_tasks } = await operator(cluster, transport).getTasks(NEVER);
  return new Map(
    [...tasks, ...unreachable_tasks].map((task) => [
      task.task_id.value,
      { state: task.state, agentId: task.agent_id.value, frameworkId: task.framework_id.value },
    ]),
  );
}

/** By the master's word: what is reserved on its agents, by seat. */
export async function holdingsOfMaster(
  cluster: LocalCluster,
  transport: HttpTransport,
): Promise<ReadonlyMap<string, Holding>> {
  const { agents } = await operator(cluster, transport).getAgents(NEVER);
  const found = new Map<string, Holding>();
  for (const { agent_info, total_resources } of agents) {
    for (const resource of total_resources ?? []) {
      if (resource.reservations?.at(-1)?.type !== 'DYNAMIC') continue;
      const seat = ownerOf(resource)?.seat ?? 'nobody’s';
      found.set(seat, withResource(found.get(seat) ?? nothingOn(agent_info.id.value), resource));
    }
  }
  return found;
}

const nothingOn = (agentId: string): Holding => ({
  agentId,
  cpus: 0,
  memMb: 0,
  diskMb: 0,
  ports: [],
  volumes: [],
});

function withResource(held: Holding, resource: Resource): Holding {
  const amount = Math.round((resource.scalar?.value ?? 0) * 1000) / 1000;
  switch (resource.name) {
    case 'cpus':
      return { ...held, cpus: held.cpus + amount };
    case 'mem':
      return { ...held, memMb: held.memMb + amount };
    case 'disk': {
      const volume = resource.disk?.persistence?.id;
      const volumes = volume === undefined ? held.volumes : [...held.volumes, volume];
      return { ...held, diskMb: held.diskMb + amount, volumes };
    }
    case 'ports': {
      const ports = (resource.ranges?.range ?? []).flatMap(({ begin, end }) =>
        Array.from({ length: end - begin + 1 }, (_, at) => begin + at),
      );
      return { ...held, ports: [...held.ports, ...ports].toSorted((a, b) => a - b) };
    }
    default:
      throw new Error(`${resource.name} is reserved`);
  }
}

function operator(cluster: LocalCluster, transport: HttpTransport) {
  return createOperatorClient({
    transport,
    clock,
    masters: createFixedMasterSource(cluster.masterUrls.join(',')),
  });
}
