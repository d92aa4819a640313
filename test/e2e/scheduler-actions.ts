import { isNameTaskId } from '../../src/protocol/identifiers.ts';
import type { SignedOrder } from '../../src/protocol/orders.ts';
import {
  type ClusterRecord,
  type Epoch,
  type Intent,
  parseRecord,
  type Seat,
} from '../../src/protocol/record.ts';

/*
 * What a scheduler does to the world, by kind. A kind is made of what was stored, called or ordered, so one that
 * nobody thought of shows up under a name of its own.
 */

/** The kinds of a call to Mesos; none for a request that asks and changes nothing. */
export function callKinds(body: string | undefined): readonly string[] {
  const call = JSON.parse(body ?? '{}') as {
    readonly type?: string;
    readonly accept?: { readonly operations: readonly CalledOperation[] };
    readonly kill?: { readonly task_id: { readonly value: string } };
  };
  if (call.type === 'KILL' && isNameTaskId(call.kill?.task_id.value ?? '')) return ['call KILL, name'];
  if (call.type !== 'ACCEPT') return [`call ${call.type}`];
  const operations = call.accept?.operations ?? [];
  const types = new Set(operations.map(({ type }) => type));
  const launched = operations.flatMap(({ launch }) => launch?.task_infos ?? []);
  const names = launched.filter(({ task_id }) => isNameTaskId(task_id.value));
  const kinds: string[] = [];
  // The operations of one agent go together: it may bring a place and let go of another.
  if (types.has('CREATE')) kinds.push('call ACCEPT, place');
  else if (launched.length > names.length) kinds.push('call ACCEPT, relaunch');
  if (names.length > 0) kinds.push('call ACCEPT, name');
  if (types.has('UNRESERVE')) kinds.push('call ACCEPT, release');
  return kinds.length > 0 ? kinds : [`call ACCEPT, ${[...types].join(' ')}`];
}

interface CalledOperation {
  readonly type: string;
  readonly launch?: { readonly task_infos: readonly { readonly task_id: { readonly value: string } }[] };
}

export function orderKinds(signed: SignedOrder): readonly string[] {
  const order = JSON.parse(signed.order) as {
    readonly kind: string;
    readonly args: { readonly mode?: string };
  };
  return [`order ${order.kind}${order.args.mode === undefined ? '' : `, ${order.args.mode}`}`];
}

/** What a save stores that was not stored before. */
export function saveKinds(before: Uint8Array | null, after: Uint8Array): readonly string[] {
  const next = parseRecord(after);
  if (before === null) return ['save the first record'];
  const previous = parseRecord(before);
  const kinds = [
    ...seatKinds(previous, next),
    ...intentKinds(previous.intent, next.intent),
    ...epochKinds(previous.epoch, next.epoch),
    ...changedFields(restOf(previous), restOf(next)).map((field) => `the field ${field}`),
  ];
  return [...new Set(kinds)].map((kind) => `save ${kind}`);
}

function seatKinds(before: ClusterRecord, after: ClusterRecord): readonly string[] {
  const [heldBefore, leftBefore, leftAfter] = [heldBy(before), leaving(before), leaving(after)];
  const kinds: string[] = [];
  for (const [id, seat] of [...heldBy(after), ...leftAfter]) {
    const was = heldBefore.get(id) ?? leftBefore.get(id);
    if (was === undefined) kinds.push('a seat');
    else kinds.push(...seatChanges(was, seat));
    if (leftAfter.has(id) && !leftBefore.has(id)) kinds.push('a leaving seat');
  }
  if ([...leftBefore.keys()].some((id) => !leftAfter.has(id))) kinds.push('that a seat is gone');
  return kinds;
}

const heldBy = (record: ClusterRecord) => new Map(record.seats.map((seat) => [seat.id, seat]));
const leaving = (record: ClusterRecord) => new Map(record.leaving.map(({ seat }) => [seat.id, seat]));

function seatChanges(before: Seat, after: Seat): readonly string[] {
  // With its next task a seat forgets the end of the one before.
  if (before.task !== after.task) return ['a relaunch'];
  return changedFields(before, after).map((field) => {
    switch (field) {
      case 'taskEnd':
        return after.taskEnd === null ? 'that a task is back' : 'the end of a task';
      case 'lost':
        return after.lost === null ? 'that a seat is found again' : 'a lost seat';
      case 'data':
        return dataChange(before.data, after.data);
      case 'nameTask':
        return after.nameTask === null ? 'that a name is over' : 'a name';
      case 'absentMs':
        return 'elapsed time';
      case 'quickEnds':
        return 'how often a task ended soon';
      default:
        return `the field seat.${field}`;
    }
  });
}

function dataChange(before: Seat['data'], after: Seat['data']): string {
  if (before?.attempt !== after?.attempt) return 'that a seat is prepared';
  if (before?.started !== after?.started) return 'that a seat is started';
  return before?.memberId === after?.memberId ? 'a log position' : 'a member id';
}

function intentKinds(before: Intent | null, after: Intent | null): readonly string[] {
  if (after === null) return before === null ? [] : ['that an intent is closed'];
  // One that need not wait is opened and committed at once.
  if (before?.id !== after.id)
    return ['an intent', ...(after.committed ? ['that an intent is committed'] : [])];
  return changedFields(before, after).map((field) => {
    if (field === 'committed') return 'that an intent is committed';
    return field === 'add' ? 'the learner of an intent' : `the field intent.${field}`;
  });
}

function epochKinds(before: Epoch, after: Epoch): readonly string[] {
  // Members are fixed by `go`, the cluster's id by `formed`: the phase stands for them.
  if (before.phase !== after.phase) return [`the phase ${after.phase}`];
  return changedFields(before, after).map((field) =>
    field === 'waitedMs' ? 'elapsed time' : `the field epoch.${field}`,
  );
}

function restOf(record: ClusterRecord): object {
  const { generation, framework, size, cluster } = record;
  return { generation, framework, size, cluster };
}

function changedFields(before: object, after: object): readonly string[] {
  const [old, now] = [new Map(Object.entries(before)), new Map(Object.entries(after))];
  return [...new Set([...old.keys(), ...now.keys()])].filter(
    (key) => JSON.stringify(old.get(key)) !== JSON.stringify(now.get(key)),
  );
}
