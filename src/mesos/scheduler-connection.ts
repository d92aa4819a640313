import { startDeadline } from '../base/deadline.ts';
import type { Clock, HttpTransport, Logger, Random } from '../base/ports.ts';
import { RETRY_MS_FIRST, retryMsAfter } from './backoff.ts';
import { candidateMasters, noneOf } from './candidates.ts';
import type { ConnectionEvent, MesosConnection } from './connection.ts';
import type { MasterHeaders } from './credentials.ts';
import { isFinal, MesosError } from './errors.ts';
import { type MasterLink, REFUSAL_BYTES_MAX, readText, requestMaster } from './master-request.ts';
import type { MasterSource } from './master-source.ts';
import { isRedirect } from './redirect.ts';
import { refusalOf } from './refusal.ts';
import {
  openEventStream,
  readEvents,
  SCHEDULER_PATH,
  type Session,
  silenceMsFor,
} from './scheduler-stream.ts';
import type { Call, FrameworkInfo, SchedulerEvent } from './wire.ts';

/** Milliseconds for one call and its answer. */
export const CALL_DEADLINE_MS = 10_000;
/** Milliseconds that a subscription must have held for the waits between tries to begin small again. */
export const STEADY_MS = 30_000;

export interface SchedulerConnectionOptions {
  readonly transport: HttpTransport;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly masters: MasterSource;
  /** Asked before every subscription; an `id` in it is replaced by the one we hold. */
  readonly frameworkInfo: () => FrameworkInfo;
  /** The id that an earlier subscription was given; `null` to be given a new one. */
  readonly frameworkId: string | null;
  /** Roles for which no offers are wanted from the start. Default none. */
  readonly suppressedRoles?: () => readonly string[];
  /** Headers that authenticate us, asked for before every request. Default none. */
  readonly headers?: MasterHeaders;
  /** When the very first try fails: try again (`retry`, the default) or reject with its error (`fatal`). */
  readonly firstAttempt?: 'retry' | 'fatal';
  readonly onEvent: (event: ConnectionEvent) => void;
}

/**
 * Subscribes with the leading master and stays subscribed: finds it through the source and its redirects,
 * notices when it falls silent, and comes back with the same framework id after growing waits. Every failed try
 * is told as `disconnected`. Calls are sent at once and side by side: who needs an order awaits one before the
 * next.
 */
export function createSchedulerConnection(options: SchedulerConnectionOptions): MesosConnection {
  const { clock, log } = options;
  const link: MasterLink = { transport: options.transport, clock, headers: options.headers };
  const state: State = {
    frameworkId: options.frameworkId,
    subscription: null,
    leader: null,
    wasAccepted: false,
    refusedSinceMs: null,
    tornDown: false,
    lifetime: AbortSignal.abort(),
  };

  return {
    async run(signal) {
      state.lifetime = signal;
      let failures = 0;
      for (let tries = 1; ; tries += 1) {
        const end = state.tornDown ? tornDownEnd() : await tryMasters(link, options, state, signal);
        if (signal.aborted) return;
        failures = (end.heldMs ?? 0) >= STEADY_MS ? 1 : failures + 1;
        const inVain = tries === 1 && end.heldMs === null && options.firstAttempt === 'fatal';
        noteRefusal(state, end, clock.monotonicMs());
        if (inVain || isOver(end.error, state, clock.monotonicMs())) throw end.error;
        const retryMs = retryMsAfter(failures, options.random);
        log.warn('disconnected', { code: end.error.code, reason: end.error.message, retryMs });
        options.onEvent({ kind: 'disconnected', error: end.error, retryMs });
        await sleepOrChange(clock, retryMs, options.masters, signal);
      }
    },

    async call(call) {
      const { subscription } = state;
      if (subscription === null) {
        throw new MesosError('not-subscribed', `${call.type} was not sent: there is no subscription`);
      }
      try {
        await sendCall(link, subscription, call, state.lifetime);
      } catch (error) {
        takeBackOffers(call, error, subscription);
        throw error;
      }
      if (call.type === 'TEARDOWN') {
        state.tornDown = true;
        subscription.session.drop(tornDownError());
      }
    },
  };
}

interface State {
  frameworkId: string | null;
  subscription: Subscription | null;
  /** Base URL of the master that took the latest subscription, tried first the next time. */
  leader: string | null;
  /** Our credentials were good for a master of this cluster once. */
  wasAccepted: boolean;
  /** Since when they are refused, by try after try; `null`: they are not. Monotonic milliseconds. */
  refusedSinceMs: number | null;
  /** The framework is gone by our own call. */
  tornDown: boolean;
  lifetime: AbortSignal;
}

/**
 * Milliseconds for which credentials that were accepted before may be refused: a master that was just elected may
 * not have been given them yet, and an identity service may be away. Then a person is needed.
 */
export const REFUSED_MS_MAX = 600_000;

const isRefusal = ({ code }: MesosError): boolean =>
  code === 'refused-unauthenticated' || code === 'refused-login';

function noteRefusal(state: State, end: SessionEnd, nowMs: number): void {
  if (end.heldMs !== null) {
    state.wasAccepted = true;
    state.refusedSinceMs = null;
  }
  if (isRefusal(end.error)) state.refusedSinceMs ??= nowMs;
}

/** Whether trying again is of no use. */
function isOver(error: MesosError, state: State, nowMs: number): boolean {
  if (!isFinal(error)) return false;
  if (!isRefusal(error) || !state.wasAccepted) return true;
  return nowMs - (state.refusedSinceMs ?? nowMs) >= REFUSED_MS_MAX;
}

interface Subscription {
  readonly base: string;
  readonly streamId: string;
  readonly frameworkId: string;
  readonly session: Session;
}

interface SessionEnd {
  readonly error: MesosError;
  /** Milliseconds from SUBSCRIBED to the end; `null` when it never came to that. */
  readonly heldMs: number | null;
}

/** Subscribes at one master after the other until one takes us; resolves when that subscription has ended. */
async function tryMasters(
  link: MasterLink,
  options: SchedulerConnectionOptions,
  state: State,
  signal: AbortSignal,
): Promise<SessionEnd> {
  const failed: MesosError[] = [];
  try {
    for await (const base of candidateMasters(link.clock, state.leader, options.masters, signal)) {
      const end = await subscribeAt(link, base, options, state, signal);
      if (end.heldMs !== null || isFinal(end.error) || signal.aborted) return end;
      state.leader = null;
      failed.push(end.error);
    }
  } catch (error) {
    if (!(error instanceof MesosError)) throw error;
    failed.push(error);
  }
  return { error: noneOf(failed), heldMs: null };
}

async function subscribeAt(
  link: MasterLink,
  base: string,
  options: SchedulerConnectionOptions,
  state: State,
  signal: AbortSignal,
): Promise<SessionEnd> {
  const session = createSession(signal);
  let subscribedMs: number | null = null;
  try {
    const body = subscribeBody(options, state.frameworkId);
    const { answer, streamId } = await openEventStream(link, base, body, session);
    for await (const event of readEvents(answer, link.clock, session)) {
      if (event.type === 'SUBSCRIBED') {
        subscribedMs = link.clock.monotonicMs();
        state.leader = answer.base;
        state.frameworkId = event.subscribed.framework_id.value;
        state.subscription = { base: answer.base, streamId, frameworkId: state.frameworkId, session };
        void leaveDeposed(link.clock, options.masters, answer.base, session);
      }
      deliver(event, answer.base, options, subscribedMs !== null);
    }
    throw new MesosError('connection-lost', `${answer.base} ended the stream`);
  } catch (error) {
    if (!(error instanceof MesosError)) throw error;
    return { error, heldMs: subscribedMs === null ? null : link.clock.monotonicMs() - subscribedMs };
  } finally {
    state.subscription = null;
    session.end();
  }
}

/** Ends the session once its master leads no more, where the source knows: it may go on talking to us for a while. */
async function leaveDeposed(
  clock: Clock,
  masters: MasterSource,
  base: string,
  session: Session,
): Promise<void> {
  const { changed } = masters;
  while (changed !== undefined && !session.signal.aborted) {
    await changed(session.signal);
    if (session.signal.aborted) return;
    const bases = await masters.next(session.signal).catch((): readonly string[] => []);
    if (bases.length > 0 && !bases.includes(base)) {
      session.drop(new MesosError('connection-lost', `${bases[0]} leads now, ${base} does not any more`));
      return;
    }
    await clock.sleep(RETRY_MS_FIRST, session.signal);
  }
}

/** The wait between two tries; over at once when another master leads. */
async function sleepOrChange(
  clock: Clock,
  durationMs: number,
  { changed }: MasterSource,
  signal: AbortSignal,
): Promise<void> {
  if (changed === undefined) {
    await clock.sleep(durationMs, signal);
    return;
  }
  const either = new AbortController();
  const within = AbortSignal.any([either.signal, signal]);
  await Promise.race([clock.sleep(durationMs, within), changed(within)]);
  either.abort();
}

/** Hands an event on. @throws MesosError what an ERROR means. */
function deliver(
  event: SchedulerEvent,
  master: string,
  options: SchedulerConnectionOptions,
  subscribed: boolean,
): void {
  if (event.type === 'HEARTBEAT') return;
  if (event.type === 'SUBSCRIBED') {
    const { framework_id, master_info, heartbeat_interval_seconds } = event.subscribed;
    const frameworkId = framework_id.value;
    const silenceMs = silenceMsFor(heartbeat_interval_seconds);
    options.log.info('subscribed', { master, frameworkId, silenceMs });
    options.onEvent({ kind: 'subscribed', frameworkId, master: master_info ?? null });
    return;
  }
  if (event.type === 'UNKNOWN') options.log.warn('unknown event', { name: event.name });
  options.onEvent({ kind: 'event', event });
  if (event.type === 'ERROR') throw errorOf(event.error.message, subscribed);
}

/**
 * The words of a master that has lost our stream while a proxy between us holds it open, as one that was just elected
 * behind the same address has. Not those for a stream that another scheduler has taken over: its ERROR tells of that.
 */
const NOT_SUBSCRIBED = /^Framework (is not subscribed|cannot be found)/;

async function sendCall(
  link: MasterLink,
  subscription: Subscription,
  call: Call,
  lifetime: AbortSignal,
): Promise<void> {
  const { base, streamId, frameworkId, session } = subscription;
  const deadline = startDeadline(link.clock, CALL_DEADLINE_MS, lifetime);
  try {
    const answer = await requestMaster(
      link,
      {
        base,
        path: SCHEDULER_PATH,
        method: 'POST',
        headers: { 'mesos-stream-id': streamId },
        body: { framework_id: { value: frameworkId }, ...call },
        redirectsMax: 0,
      },
      deadline.signal,
    );
    const body = await readText(answer, REFUSAL_BYTES_MAX, deadline.signal, true);
    answer.close();
    if (answer.status === 202 || answer.status === 200) return;
    if (isRedirect(answer.status)) {
      session.drop(new MesosError('connection-lost', `${base} does not lead any more`));
      throw new MesosError('connection-lost', `${call.type}: ${base} does not lead any more`);
    }
    if (NOT_SUBSCRIBED.test(body)) {
      session.drop(new MesosError('connection-lost', `${base} does not know of our subscription any more`));
    }
    throw refusalOf(base, answer.status, body);
  } finally {
    deadline.cancel();
  }
}

/**
 * Offers whose answer was lost would be ours for good: masters take none back by themselves unless they are started
 * with `--offer_timeout`. Those of an earlier subscription they do.
 */
function takeBackOffers(call: Call, error: unknown, { base, session }: Subscription): void {
  if (call.type !== 'ACCEPT' && call.type !== 'DECLINE') return;
  if (!(error instanceof MesosError) || error.code === 'bad-call' || error.code === 'aborted') return;
  const message = `${base} may not have heard what became of its offers (${call.type}: ${error.message})`;
  session.drop(new MesosError('connection-lost', message, { cause: error }));
}

function subscribeBody(options: SchedulerConnectionOptions, frameworkId: string | null): unknown {
  const suppressed = options.suppressedRoles?.() ?? [];
  const { id: _, ...info } = options.frameworkInfo();
  const id = frameworkId === null ? {} : { value: frameworkId };
  return {
    type: 'SUBSCRIBE',
    ...(frameworkId === null ? {} : { framework_id: id }),
    subscribe: {
      framework_info: frameworkId === null ? info : { ...info, id },
      ...(suppressed.length === 0 ? {} : { suppressed_roles: suppressed }),
    },
  };
}

/** The master's own words in `src/master/master.cpp`; it gives no code with them. */
function errorOf(message: string, subscribed: boolean): MesosError {
  if (/framework has been removed|completed framework/i.test(message)) {
    return new MesosError('framework-removed', `the master says: ${message}`, {
      hint: 'Mesos has forgotten this framework (teardown, or its failover timeout passed) and killed its tasks.',
    });
  }
  if (/framework failed over/i.test(message)) {
    return new MesosError('failed-over', `the master says: ${message}`, {
      hint: 'Another scheduler has subscribed with the same framework id; only one may run.',
    });
  }
  // After SUBSCRIBED it tells of something that went wrong; whether it is for good shows when we subscribe anew.
  if (subscribed) return new MesosError('connection-lost', `the master says: ${message}`);
  // Who may do what could not be found out: an authorizer that is a service of its own may be away.
  if (/^Authorization failure/.test(message)) {
    return new MesosError('no-master', `the master says: ${message}`, {
      hint: 'The master cannot ask its authorizer at present; this usually ends by itself.',
    });
  }
  const isOtherPrincipal = /changing framework's principal/i.test(message);
  return new MesosError('refused-subscription', `the master says: ${message}`, {
    ...(isOtherPrincipal ? { hint: OTHER_PRINCIPAL_HINT } : {}),
  });
}

const OTHER_PRINCIPAL_HINT =
  'A framework keeps the principal that it was first subscribed with: start with that --principal, or that service account.';

function tornDownError(): MesosError {
  return new MesosError('framework-removed', 'the framework was torn down by our own call');
}

/** The stream may end before the answer to TEARDOWN has come. */
function tornDownEnd(): SessionEnd {
  return { error: tornDownError(), heldMs: null };
}

function createSession(signal: AbortSignal): Session & { end(): void } {
  const controller = new AbortController();
  const follow = (): void => controller.abort(signal.reason);
  const end = (reason?: unknown): void => {
    signal.removeEventListener('abort', follow);
    controller.abort(reason);
  };
  if (signal.aborted) follow();
  else signal.addEventListener('abort', follow, { once: true });
  return { signal: controller.signal, drop: end, end: () => end() };
}
