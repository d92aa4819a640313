import { orAborted } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import { type HttpRequest, HttpTransportError, type StateStore, StateStoreError } from '../base/ports.ts';
import { SCHEDULER_PATH } from '../mesos/scheduler-stream.ts';
import { MembersError } from '../protocol/members-port.ts';
import type { SchedulerPorts } from './scheduler.ts';
import { archiveWithin, type Begin } from './term-archive.ts';

/** For how long a scheduler may act. */
export interface ActingTime {
  /** Aborts when it is over. */
  readonly over: AbortSignal;
  /** Whether it lasts, by the clock now: a process that was paused runs a while before {@link over} aborts. */
  holds(): boolean;
  /**
   * Whether nobody else acts, by the clock at this moment: also after we were told to stop, until we have. Then what
   * is under way for the archive may be brought to its end.
   */
  leads(): boolean;
}

/** A scheduler's ports for as long as it may act. */
export interface TermPorts {
  readonly ports: SchedulerPorts;
  /** Resolves when nothing that was begun through them is under way any more. */
  settled(): Promise<void>;
}

/**
 * Ports through which nothing goes out once the time is over: no call, no order, no write; what is under way is
 * given up. A process that was paused may be past this gate when it wakes: what it sends then is refused by whom it
 * reaches, as `docs/adr/0005-one-scheduler-acts.md` argues.
 *
 * Before each subscription the record is read: a session of ours that ended without our notice shows there, before
 * the framework is taken from the scheduler that leads by then.
 */
export function portsWithin(ports: SchedulerPorts, time: ActingTime): TermPorts {
  const { over } = time;
  const { transport, members, store, archive } = ports;
  const underWay = new Set<Promise<unknown>>();
  const beginIf =
    (may: () => boolean): Begin =>
    async (error, work) => {
      if (!may()) throw error('this scheduler does not lead any more');
      const begun = work();
      underWay.add(begun);
      try {
        return await begun;
      } finally {
        underWay.delete(begun);
      }
    };
  const begin = beginIf(() => !over.aborted && time.holds());

  return {
    ports: {
      ...ports,
      transport: {
        request: async (request) => {
          if (isSubscription(request)) {
            await begin(notSent, async () => await assertStoreAnswers(store, request.signal));
          }
          return await begin(notSent, async () => await transport.request(request));
        },
      },
      members: {
        status: async (url, last, signal) =>
          await begin(notAsked, async () => await members.status(url, last, either(signal, over))),
        order: async (url, order, signal) =>
          await begin(notAsked, async () => await members.order(url, order, either(signal, over))),
      },
      store: {
        load: async () => await begin(notStored, async () => await store.load()),
        read: async (kind) => await begin(notStored, async () => await store.read(kind)),
        save: async (bytes, version) => await begin(notStored, async () => await store.save(bytes, version)),
        append: async (kind, entry) => await begin(notStored, async () => await store.append(kind, entry)),
        clear: async () => await begin(notStored, async () => await store.clear()),
      },
      archive:
        archive === null
          ? null
          : archiveWithin(
              archive,
              beginIf(() => time.leads()),
            ),
    },
    async settled() {
      while (underWay.size > 0) await Promise.allSettled(underWay);
    },
  };
}

const either = (signal: AbortSignal, over: AbortSignal): AbortSignal => AbortSignal.any([signal, over]);

/** Of a scheduler's calls SUBSCRIBE alone belongs to no stream yet. */
function isSubscription(request: HttpRequest): boolean {
  return request.url.endsWith(SCHEDULER_PATH) && request.headers['mesos-stream-id'] === undefined;
}

async function assertStoreAnswers(store: StateStore, signal: AbortSignal): Promise<void> {
  try {
    await orAborted(signal, store.load());
  } catch (cause) {
    const why = `the record cannot be read, so it is not certain that we lead: ${describeError(cause)}`;
    throw new HttpTransportError(signal.aborted ? 'aborted' : 'connect-failed', why, { cause });
  }
}

const notSent = (message: string): Error => new HttpTransportError('aborted', message);
const notAsked = (message: string): Error => new MembersError('aborted', message);
const notStored = (message: string): Error => new StateStoreError('unavailable', message);
