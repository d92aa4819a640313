import { createHash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import * as z from 'zod';

/*
 * The records that Mesos-DNS makes of a master's `/state`, by its rules for frameworks and tasks, in its default
 * settings: domain `mesos`, sources of addresses `netinfo`, `mesos`, `host`.
 */

/** By name, without a dot at its end: addresses, and where services are. */
export interface DnsRecords {
  readonly a: ReadonlyMap<string, readonly string[]>;
  readonly srv: ReadonlyMap<string, readonly DnsService[]>;
}
export interface DnsService {
  readonly target: string;
  readonly port: number;
}

const DOMAIN = 'mesos';
const LABEL_LENGTH_MAX = 63;
const HASH_LENGTH = 5;

const statusSchema = z.object({
  state: z.string(),
  timestamp: z.number().default(0),
  container_status: z
    .object({
      network_infos: z
        .array(
          z.object({ ip_addresses: z.array(z.object({ ip_address: z.string().optional() })).optional() }),
        )
        .default([]),
    })
    .optional(),
});
const taskSchema = z.object({
  id: z.string(),
  name: z.string(),
  slave_id: z.string(),
  state: z.string(),
  resources: z.object({ ports: z.string().optional() }),
  statuses: z.array(statusSchema).default([]),
  discovery: z
    .object({
      name: z.string().optional(),
      ports: z
        .object({
          ports: z
            .array(
              z.object({ number: z.number(), name: z.string().optional(), protocol: z.string().optional() }),
            )
            .default([]),
        })
        .optional(),
    })
    .optional(),
});
type StateTask = z.infer<typeof taskSchema>;
const stateSchema = z.object({
  slaves: z.array(z.object({ id: z.string(), pid: z.string() })),
  frameworks: z.array(
    z.object({
      name: z.string(),
      hostname: z.string().default(''),
      pid: z.string().optional(),
      tasks: z.array(taskSchema),
    }),
  ),
});

/** @param state what the leading master answers at `/state`. */
export function mesosDnsRecords(state: unknown): DnsRecords {
  const { slaves, frameworks } = stateSchema.parse(state);
  const agents = new Map(slaves.map(({ id, pid }) => [id, hostOfPid(pid)]));
  const records = createRecords();
  for (const framework of frameworks) {
    const domain = domainOf(framework.name);
    const host = framework.pid === undefined ? framework.hostname : hostOfPid(framework.pid);
    if (isIPv4(host)) records.address(`${domain}.${DOMAIN}`, host);
    for (const task of framework.tasks) {
      const agentIp = agents.get(task.slave_id);
      if (agentIp !== undefined && task.state === 'TASK_RUNNING') addTask(records, task, domain, agentIp);
    }
  }
  return records;
}

function addTask(records: Records, task: StateTask, domain: string, agentIp: string): void {
  const discovered = task.discovery?.name ?? '';
  // A discovery name is told as it was given and as a label; a task's name as a label alone.
  const names = discovered === '' ? [labelOf(task.name)] : [discovered, labelOf(discovered)];
  const suffix = `${hashOf(task.id)}-${tailOf(task.slave_id)}`;
  const taskIps = ownIpsOf(task).length > 0 ? ownIpsOf(task) : [agentIp];
  for (const name of new Set(names)) {
    const unique = `${name}-${suffix}.${domain}`;
    for (const host of [`${name}.${domain}`, unique]) {
      for (const ip of taskIps) records.address(`${host}.${DOMAIN}`, ip);
      records.address(`${host}.slave.${DOMAIN}`, agentIp);
    }
    for (const port of portsIn(task.resources.ports ?? '')) {
      for (const protocol of ['tcp', 'udp']) {
        const service = `_${name}._${protocol}.${domain}`;
        records.service(`${service}.slave.${DOMAIN}`, { target: `${unique}.slave.${DOMAIN}`, port });
        if (discovered === '')
          records.service(`${service}.${DOMAIN}`, { target: `${unique}.${DOMAIN}`, port });
      }
    }
    if (discovered === '') continue;
    for (const port of task.discovery?.ports?.ports ?? []) {
      const protocol = labelOf(port.protocol ?? '');
      for (const proto of protocol === '' ? ['tcp', 'udp'] : [protocol]) {
        const service = `_${name}._${proto}.${domain}.${DOMAIN}`;
        const at = { target: `${unique}.${DOMAIN}`, port: port.number };
        records.service(service, at);
        if (port.name !== undefined && port.name !== '') records.service(`_${port.name}.${service}`, at);
      }
    }
  }
}

/** Dots part labels; what makes no label is left out. */
function domainOf(frameworkName: string): string {
  return frameworkName
    .split('.')
    .map(labelOf)
    .filter((label) => label !== '')
    .join('.');
}

function labelOf(text: string): string {
  let label = '';
  for (const character of text) {
    if (/[A-Za-z0-9]/.test(character)) label += character.toLowerCase();
    else if (/[-._]/.test(character)) label += '-';
  }
  label = label.replace(/^-+/, '');
  const head = label.slice(0, LABEL_LENGTH_MAX).replace(/-+$/, '');
  const size = Math.min(label.length, LABEL_LENGTH_MAX);
  // What was trimmed from a label that is cut is filled up from what comes after it.
  const rest = label.slice(size).replace(/^-+/, '');
  return head + rest.slice(0, size - head.length);
}

const ZBASE32 = 'ybndrfg8ejkmcpqxot1uwisza345h769';

function hashOf(taskId: string): string {
  const bytes = createHash('sha1').update(taskId).digest();
  // Five characters are 25 bits: the first four bytes hold them.
  const bits = bytes.readUInt32BE(0);
  return Array.from({ length: HASH_LENGTH }, (_, at) => ZBASE32[(bits >>> (27 - 5 * at)) & 31]).join('');
}

function tailOf(agentId: string): string {
  return (agentId.split('-').at(-1) ?? '').toLowerCase();
}

/** What the newest status of a running task says of its networks. */
function ownIpsOf(task: StateTask): readonly string[] {
  const running = task.statuses.filter(({ state }) => state === 'TASK_RUNNING');
  const newest = running.toSorted((a, b) => b.timestamp - a.timestamp)[0];
  const addresses =
    newest?.container_status?.network_infos.flatMap(({ ip_addresses: all = [] }) => all) ?? [];
  return addresses.flatMap(({ ip_address: ip }) => (ip === undefined ? [] : [ip]));
}

/** `[31000-31001, 31005-31005]` */
function portsIn(text: string): readonly number[] {
  return [...text.matchAll(/(\d+)-(\d+)/g)].flatMap(([, first, last]) =>
    Array.from({ length: Number(last) - Number(first) + 1 }, (_, at) => Number(first) + at),
  );
}

/** `slave(1)@10.0.0.1:5051` */
function hostOfPid(pid: string): string {
  const address = pid.split('@').at(-1) ?? '';
  return address.slice(0, address.lastIndexOf(':'));
}

interface Records extends DnsRecords {
  address(name: string, ip: string): void;
  service(name: string, at: DnsService): void;
}

function createRecords(): Records {
  const a = new Map<string, string[]>();
  const srv = new Map<string, DnsService[]>();
  const add = <T>(map: Map<string, T[]>, name: string, value: T, same: (other: T) => boolean): void => {
    const known = map.get(name) ?? [];
    if (!known.some(same)) map.set(name, [...known, value]);
  };
  return {
    a,
    srv,
    address: (name, ip) => add(a, name, ip, (other) => other === ip),
    service: (name, at) =>
      add(srv, name, at, (other) => other.target === at.target && other.port === at.port),
  };
}
