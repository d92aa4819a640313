import type { ArchiveStore, GrowingObjects } from '../../src/backup/store-port.ts';
import type { HttpTransport, StateStore } from '../../src/base/ports.ts';
import type { Members } from '../../src/protocol/members-port.ts';
import { orderSchema } from '../../src/protocol/orders.ts';

/**
 * Where a scheduler's process may be killed: at every call that changes something outside of it. The call is
 * not made (`before`), is on its way when the process dies (`sent`), or is done and its answer is lost (`after`).
 * Or it is stopped with all that it needs for the call in hand, and makes it when it goes on (`held`).
 */
export interface CrashPlan {
  /**
   * A kind as {@link CrashPoint.kinds} has them; `any` counts every kind, `any order` and `any archive` those that
   * begin with the second word.
   */
  readonly kind: string;
  /** The how-manieth call of that kind, from one, counted since the plan was made. */
  readonly nth: number;
  readonly when: 'before' | 'sent' | 'after' | 'held';
}

export interface CrashPoint {
  /** The next plan; `null` takes it back. */
  plan(plan: CrashPlan | null): void;
  readonly planned: CrashPlan | null;
  store(store: StateStore): StateStore;
  transport(transport: HttpTransport): HttpTransport;
  members(members: Members): Members;
  archive(store: ArchiveStore): ArchiveStore;
  /** Every kind of call that was seen: `save`, `call ACCEPT`, `order member-add` … */
  readonly kinds: ReadonlySet<string>;
}

/**
 * @param kill ends the process that makes the calls.
 * @param hold stops it, and makes the call when it goes on, before anything else of it does.
 */
export function createCrashPoint(
  kill: (why: string) => void,
  hold: (why: string, call: () => void) => void,
): CrashPoint {
  const kinds = new Set<string>();
  const never = new Promise<never>(() => {});
  let planned: CrashPlan | null = null;
  let left = 0;

  const at = async <T>(kind: string, call: () => Promise<T>): Promise<T> => {
    kinds.add(kind);
    const due = planned !== null && isOf(planned.kind, kind) && --left <= 0;
    if (!due || planned === null) return await call();
    const { when } = planned;
    planned = null;
    if (when === 'held') {
      const { promise, resolve } = Promise.withResolvers<T>();
      hold(`with ${kind} in hand`, () => resolve(call()));
      return await promise;
    }
    if (when === 'before') {
      kill(`before ${kind}`);
      return await never;
    }
    const answer = call();
    if (when === 'after') await answer.catch(() => {});
    else void answer.catch(() => {});
    kill(when === 'after' ? `after ${kind}` : `while ${kind} was on its way`);
    return await never;
  };

  const growingAt = (growing: GrowingObjects): GrowingObjects => ({
    create: async (key, first, signal) => {
      const object = await at('archive create', () => growing.create(key, first, signal));
      return {
        append: (bytes) => at('archive append', () => object.append(bytes)),
        close: () => object.close(),
      };
    },
  });

  return {
    plan: (plan) => {
      planned = plan;
      left = plan?.nth ?? 0;
    },
    get planned() {
      return planned;
    },
    kinds,
    store: (store) => ({
      load: () => store.load(),
      save: (bytes, expectedVersion) => at('save', () => store.save(bytes, expectedVersion)),
      append: (kind, entry) => at('append', () => store.append(kind, entry)),
      read: (kind) => store.read(kind),
      clear: () => at('clear', () => store.clear()),
    }),
    transport: (transport) => ({
      request: (request) => {
        const type = typeOf(request.body);
        return type === null
          ? transport.request(request)
          : at(`call ${type}`, () => transport.request(request));
      },
    }),
    archive: (store) => ({
      ...store,
      put: (key, content, options) => at('archive put', () => store.put(key, content, options)),
      remove: (key, signal) => at('archive remove', () => store.remove(key, signal)),
      growing: store.growing === null ? null : growingAt(store.growing),
    }),
    members: (members) => ({
      status: (url, wait, signal) => members.status(url, wait, signal),
      order: (url, order, signal) => {
        const { kind } = orderSchema.parse(JSON.parse(order.order));
        return at(`order ${kind}`, () => members.order(url, order, signal));
      },
    }),
  };
}

function isOf(planned: string, kind: string): boolean {
  if (planned === 'any' || planned === kind) return true;
  return planned.startsWith('any ') && kind.startsWith(`${planned.slice('any '.length)} `);
}

/** The type of a call to the master; `null` for what changes nothing there. */
function typeOf(body: string | undefined): string | null {
  if (body === undefined) return null;
  const { type } = JSON.parse(body) as { type?: string };
  return type === undefined ? null : type;
}
