import type { AlarmName } from '../../src/etcd/port.ts';

/**
 * What the model keeps of etcd's key-value store beside the keys: what they and their history take in the database,
 * what was compacted, which alarms stand. All but {@link KeyStore.fileBytes} and {@link KeyStore.damage} follows from
 * the log, so it is the same at every member.
 */
export interface KeyStore {
  revision: number;
  compactRevision: number;
  readonly values: Map<string, string>;
  /** What was superseded and not compacted yet, in the order of revisions. */
  readonly history: { readonly revision: number; readonly bytes: number }[];
  /** What a watch can still be told of, one a revision without a break, from the compacted one on. */
  readonly changes: Change[];
  /** Of keys and history, without what an empty database takes. */
  usedBytes: number;
  /** `memberId NAME` */
  readonly alarms: Set<string>;
  /** The size of this member's file: free pages stay in it until it is defragmented. */
  fileBytes: number;
  /** This member's own data differs from the others', by this; `null`: it is sound. */
  damage: string | null;
}

/** What a revision did. */
export interface Change {
  readonly revision: number;
  readonly key: string;
  /** Of a long one its beginning; `null`: the key was deleted. */
  readonly value: string | null;
}

export type StorePayload =
  | { readonly kind: 'put'; readonly key: string; readonly value: string }
  | { readonly kind: 'delete'; readonly key: string }
  | { readonly kind: 'compact'; readonly revision: number }
  | {
      readonly kind: 'alarm';
      readonly memberId: string;
      readonly alarm: AlarmName;
      readonly raised: boolean;
    };
export type StoreRefusal = 'no-space' | 'corrupt-cluster' | 'compacted' | 'future-revision';

const EMPTY_BYTES = 16_384;
const VERSION_BYTES = 64;
/** What etcd reckons for a write before it is taken. */
const COST_BYTES = 512;
/** Characters of a value that a watch tells. */
const VALUE_SHOWN = 64;

export function createKeyStore(): KeyStore {
  return {
    revision: 1,
    compactRevision: 0,
    values: new Map(),
    history: [],
    changes: [],
    usedBytes: 0,
    alarms: new Set(),
    fileBytes: EMPTY_BYTES,
    damage: null,
  };
}

/** Changes the store as etcd's apply does. */
export function applyToStore(store: KeyStore, payload: StorePayload): StoreRefusal | null {
  if (payload.kind === 'alarm') {
    const name = `${payload.memberId} ${payload.alarm}`;
    if (payload.raised) store.alarms.add(name);
    else store.alarms.delete(name);
    return null;
  }
  if (hasAlarm(store, 'CORRUPT')) return 'corrupt-cluster';
  switch (payload.kind) {
    case 'put':
      if (hasAlarm(store, 'NOSPACE')) return 'no-space';
      supersede(store, payload.key);
      store.values.set(payload.key, payload.value);
      store.usedBytes += bytesOf(payload.key, payload.value);
      change(store, payload.key, payload.value);
      break;
    case 'delete':
      if (!store.values.has(payload.key)) return null;
      supersede(store, payload.key);
      store.values.delete(payload.key);
      change(store, payload.key, null);
      break;
    case 'compact':
      if (payload.revision <= store.compactRevision) return 'compacted';
      if (payload.revision > store.revision) return 'future-revision';
      store.compactRevision = payload.revision;
      while ((store.history[0]?.revision ?? Number.POSITIVE_INFINITY) <= payload.revision) {
        store.usedBytes -= store.history.shift()?.bytes ?? 0;
      }
      while ((store.changes[0]?.revision ?? Number.POSITIVE_INFINITY) < payload.revision)
        store.changes.shift();
      break;
  }
  store.fileBytes = Math.max(store.fileBytes, inUseOf(store));
  return null;
}

export function inUseOf(store: KeyStore): number {
  return EMPTY_BYTES + store.usedBytes;
}

/** etcd's quota is of the file, whatever is free in it. */
export function exceedsQuota(store: KeyStore, key: string, value: string, quotaBytes: number): boolean {
  return store.fileBytes + COST_BYTES + key.length + value.length >= quotaBytes;
}

export function hasAlarm(store: KeyStore, alarm: AlarmName): boolean {
  return [...store.alarms].some((raised) => raised.endsWith(` ${alarm}`));
}

export function alarmsOf(store: KeyStore): { readonly memberId: string; readonly alarm: string }[] {
  return [...store.alarms].map((raised) => {
    const [memberId = '', alarm = ''] = raised.split(' ');
    return { memberId, alarm };
  });
}

/** As HashKV: the same for members that hold the same, compacted alike. */
export function hashOf(store: KeyStore, revision: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${revision} ${store.compactRevision} ${store.damage ?? ''}`) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193) >>> 0;
  }
  return hash;
}

function change(store: KeyStore, key: string, value: string | null): void {
  store.revision += 1;
  store.changes.push({ revision: store.revision, key, value: value?.slice(0, VALUE_SHOWN) ?? null });
}

function supersede(store: KeyStore, key: string): void {
  const value = store.values.get(key);
  if (value !== undefined) store.history.push({ revision: store.revision + 1, bytes: bytesOf(key, value) });
}

function bytesOf(key: string, value: string): number {
  return VERSION_BYTES + key.length + value.length;
}
