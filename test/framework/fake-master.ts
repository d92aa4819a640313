import type { HttpTransport } from '../../src/base/ports.ts';
import type { Call, Operation, SchedulerEvent, TaskInfo } from '../../src/mesos/wire.ts';
import { PROTOCOL_VERSION } from '../../src/protocol/launch.ts';
import { type MemberStatus, NOTHING_DONE } from '../../src/protocol/member-status.ts';
import { type Members, MembersError } from '../../src/protocol/members-port.ts';
import { type Order, orderSchema, type Receipt } from '../../src/protocol/orders.ts';
import { type ByteStream, createByteStream, createMemoryTransport } from '../sim/memory-transport.ts';

/** A master that does nothing by itself: it takes subscriptions and calls, and says what a test tells it to. */
export interface FakeMaster {
  readonly transport: HttpTransport;
  /** Every call since the start, SUBSCRIBE left out. */
  readonly calls: readonly Call[];
  /** Framework ids of the subscriptions; `null` for a first one. */
  readonly subscriptions: readonly (string | null)[];
  /** Sends to the present subscriber. */
  say(event: SchedulerEvent): void;
  /** Ends the present stream. */
  hangUp(): void;
  /** Removes a framework, as a teardown does: whoever is subscribed under its id is told, now or at the next try. */
  remove(frameworkId: string): void;
  /** What the operator API answers, by call type. */
  answer(type: string, body: unknown): void;
  /** Status that calls of this type are answered with from now on; 200 for SUBSCRIBE, 202 for others takes them. */
  refuse(type: Call['type'] | 'SUBSCRIBE', status: number): void;
}

export const FRAMEWORK_ID = 'framework-1';

export function createFakeMaster(): FakeMaster {
  const calls: Call[] = [];
  const subscriptions: (string | null)[] = [];
  const removed = new Set<string>();
  const refused = new Map<string, number>();
  const answers = new Map<string, unknown>();
  let stream: ByteStream | null = null;
  let subscribed: string | null = null;
  const say = (event: SchedulerEvent): void => {
    const json = JSON.stringify(event);
    stream?.push(`${Buffer.byteLength(json)}\n${json}`);
  };
  /** A master shows a framework itself. */
  const known = (type: string): unknown => {
    if (type !== 'GET_FRAMEWORKS' || subscribed === null) return undefined;
    const framework_info = { user: 'nobody', name: 'etcd', id: { value: subscribed }, roles: [] };
    return { frameworks: [{ framework_info, active: true, connected: true }] };
  };
  const transport = createMemoryTransport(({ url, body }) => {
    const call = JSON.parse(body ?? '{}') as Call | { type: 'SUBSCRIBE'; framework_id?: { value: string } };
    if (url.endsWith('/api/v1')) return answerOperator(call.type, answers.get(call.type) ?? known(call.type));
    if (call.type !== 'SUBSCRIBE') {
      calls.push(call);
      const status = refused.get(call.type) ?? 202;
      return { status, body: status === 202 ? '' : 'refused' };
    }
    const refusal = refused.get('SUBSCRIBE') ?? 200;
    if (refusal !== 200) return { status: refusal, body: 'refused' };
    const id = call.framework_id?.value ?? null;
    subscriptions.push(id);
    stream = createByteStream();
    if (id !== null && removed.has(id)) {
      say({ type: 'ERROR', error: { message: 'Framework has been removed' } });
      stream.end();
    } else {
      const value = id ?? `framework-${subscriptions.length}`;
      subscribed = value;
      say({ type: 'SUBSCRIBED', subscribed: { framework_id: { value } } });
    }
    return {
      status: 200,
      headers: { 'content-type': 'application/json', 'mesos-stream-id': `stream-${subscriptions.length}` },
      body: stream,
    };
  });
  return {
    transport,
    calls,
    subscriptions,
    say,
    hangUp: () => stream?.end(),
    remove: (frameworkId) => {
      removed.add(frameworkId);
      say({ type: 'ERROR', error: { message: 'Framework has been removed' } });
      stream?.end();
    },
    answer: (type, body) => answers.set(type, body),
    refuse: (type, status) => refused.set(type, status),
  };
}

function answerOperator(type: string, body: unknown) {
  if (typeof body === 'number') return { status: body, body: 'no' };
  const headers = { 'content-type': 'application/json' };
  return { status: 200, headers, body: JSON.stringify({ type, [type.toLowerCase()]: body ?? {} }) };
}

/** The tasks that were sent for launch, oldest first. */
export function launchesOf(master: FakeMaster): readonly TaskInfo[] {
  return operationsOf(master).flatMap((operation) =>
    operation.type === 'LAUNCH' ? operation.launch.task_infos : [],
  );
}
export function operationsOf(master: FakeMaster): readonly Operation[] {
  return master.calls.flatMap((call) => (call.type === 'ACCEPT' ? call.accept.operations : []));
}

/** Supervisors that answer with what a test puts there, and remember what they are told. */
export interface FakeMembers extends Members {
  /** By URL; a URL without a status does not answer. */
  readonly statuses: Map<string, MemberStatus>;
  readonly orders: { readonly url: string; readonly order: Order }[];
  /** Orders to be answered; by default each is done at once. */
  respond: (order: Order, url: string) => Promise<Receipt>;
}

export function createFakeMembers(
  sleep: (durationMs: number, signal: AbortSignal) => Promise<void>,
): FakeMembers {
  const statuses = new Map<string, MemberStatus>();
  const members: FakeMembers = {
    statuses,
    orders: [],
    respond: (order) => Promise.resolve(done(order)),
    async status(url, wait, signal) {
      const now = statuses.get(url);
      if (now === undefined) throw new MembersError('unreachable', `nobody is at ${url}`);
      if (wait !== null && wait.after === now.sequence) await sleep(wait.waitMs, signal);
      return statuses.get(url) ?? now;
    },
    async order(url, signed) {
      const order = orderSchema.parse(JSON.parse(signed.order));
      members.orders.push({ url, order });
      return await members.respond(order, url);
    },
  };
  return members;
}

export function done(order: Order): Receipt {
  return { id: order.id, outcome: 'done', problem: null, message: '', memberId: null, finding: null };
}

export function status(changes: Partial<MemberStatus>): MemberStatus {
  return {
    protocol: PROTOCOL_VERSION,
    build: 'test',
    cluster: 'cluster-1',
    slot: 'etcd-0',
    seat: 'etcd-0-seat',
    task: 'etcd-0__one',
    sequence: 1,
    phase: 'idle',
    problem: null,
    dataProblem: null,
    fence: { epoch: 0, generation: 0 },
    identity: null,
    floor: null,
    etcd: null,
    probe: null,
    needsUser: null,
    warnings: [],
    busy: null,
    differs: false,
    space: NOTHING_DONE,
    ...changes,
  };
}
