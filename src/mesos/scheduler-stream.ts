import type { Clock } from '../base/ports.ts';
import { MesosError } from './errors.ts';
import { createEventSink } from './event-sink.ts';
import {
  type MasterAnswer,
  type MasterLink,
  mesosErrorOf,
  readRefusal,
  requestMaster,
} from './master-request.ts';
import { createDecoderInto, type RecordDecoder } from './record-io.ts';
import { refusalOf } from './refusal.ts';
import { watchSilence } from './silence-watch.ts';
import type { SchedulerEvent } from './wire.ts';

/** Where schedulers subscribe and call, below a master's base URL. */
export const SCHEDULER_PATH = '/api/v1/scheduler';

/** Heartbeats that may be missed, in intervals, until a master counts as lost. */
const SILENCE_INTERVALS = 2.5;
/** Milliseconds: bounds of the silence that is borne, whatever interval a master announces. */
const SILENCE_MS_MIN = 2000;
const SILENCE_MS_MAX = 120_000;
/** Milliseconds between heartbeats of a master that announces none; Mesos's own default. */
const HEARTBEAT_MS_DEFAULT = 15_000;
/** Milliseconds from the head of the answer to SUBSCRIBED. */
export const FIRST_EVENT_MS = 15_000;
/** Milliseconds that a single record may be on its way, however steadily its bytes trickle in. */
export const RECORD_MS_MAX = 300_000;

/** One stream's life, ended from outside by `drop`: what is under way then fails with that error. */
export interface Session {
  readonly signal: AbortSignal;
  drop(error: MesosError): void;
}

export interface EventStream {
  readonly answer: MasterAnswer;
  /** To be sent with every call on this subscription. */
  readonly streamId: string;
}

/**
 * Sends SUBSCRIBE to `base` or wherever it redirects to, and resolves once a stream of events begins.
 * @throws MesosError `refused-subscription` and what {@link requestMaster} and {@link refusalOf} say
 */
export async function openEventStream(
  link: MasterLink,
  base: string,
  subscribe: unknown,
  session: Session,
): Promise<EventStream> {
  const answer = await requestMaster(
    link,
    { base, path: SCHEDULER_PATH, method: 'POST', body: subscribe },
    session.signal,
  );
  if (answer.status !== 200) {
    const refusal = refusalOf(answer.base, answer.status, await readRefusal(link, answer, session.signal));
    throw refusal.code === 'bad-call' ? new MesosError('refused-subscription', refusal.message) : refusal;
  }
  const streamId = answer.headers['mesos-stream-id'];
  const contentType = answer.headers['content-type'] ?? '';
  if (streamId !== undefined && /^application\/json\b/i.test(contentType)) return { answer, streamId };
  answer.close();
  const what = contentType === '' ? 'something without a content type' : contentType;
  throw new MesosError(
    'not-mesos',
    streamId === undefined
      ? `${answer.base} answers SUBSCRIBE with ${what} and no Mesos-Stream-Id`
      : `${answer.base} answers SUBSCRIBE with ${what} where a stream of JSON events belongs`,
    { hint: 'Check that the address is that of a Mesos master (its default port is 5050).' },
  );
}

/**
 * The stream's events in their order, without end: it throws when the stream is over, and drops the session
 * when the master has been silent for too long.
 * @throws MesosError `connection-lost`, `heartbeat-missed`, `malformed-record`, `record-too-large`; `not-mesos`
 * where not even the first record can be read
 */
export async function* readEvents(
  answer: MasterAnswer,
  clock: Clock,
  session: Session,
): AsyncGenerator<SchedulerEvent> {
  const decoder = createDecoderInto({ open: createEventSink });
  const silence = superviseSilence(answer.base, clock, session);
  let recordMs = clock.monotonicMs();
  let begun = false;
  try {
    for await (const chunk of answer.body) {
      silence.heard();
      const { events, failure } = decodeAll(decoder, chunk);
      for (const event of events) {
        begun = true;
        if (event.type === 'SUBSCRIBED') silence.subscribed(event.subscribed.heartbeat_interval_seconds);
        session.signal.throwIfAborted();
        yield event;
      }
      if (failure !== null) throw failure;
      if (events.length > 0 || decoder.pendingBytes === 0) recordMs = clock.monotonicMs();
      else if (clock.monotonicMs() - recordMs > RECORD_MS_MAX) throw stuckRecord(answer.base);
    }
    decoder.end();
    throw new MesosError('connection-lost', `${answer.base} ended the stream`);
  } catch (error) {
    throw begun ? mesosErrorOf(error, answer.base, session.signal) : beforeFirst(error, answer, session);
  } finally {
    silence.end();
  }
}

/** Milliseconds of silence that are borne when a master announces heartbeats at this interval. */
export function silenceMsFor(intervalSeconds: number | undefined): number {
  const intervalMs = (intervalSeconds ?? 0) > 0 ? Number(intervalSeconds) * 1000 : HEARTBEAT_MS_DEFAULT;
  return Math.min(Math.max(intervalMs * SILENCE_INTERVALS, SILENCE_MS_MIN), SILENCE_MS_MAX);
}

function decodeAll(
  decoder: RecordDecoder<SchedulerEvent>,
  chunk: Uint8Array,
): { readonly events: readonly SchedulerEvent[]; readonly failure: MesosError | null } {
  const events: SchedulerEvent[] = [];
  try {
    decoder.push(chunk, (event) => events.push(event));
    return { events, failure: null };
  } catch (error) {
    return { events, failure: error as MesosError };
  }
}

interface SilenceSupervision {
  heard(): void;
  /** From now on heartbeats come, every so many seconds. */
  subscribed(intervalSeconds: number | undefined): void;
  end(): void;
}

function superviseSilence(base: string, clock: Clock, session: Session): SilenceSupervision {
  let ended = new AbortController();
  const watch = (limitMs: number, code: 'timeout' | 'heartbeat-missed'): { heard(): void } =>
    watchSilence(clock, limitMs, ended.signal, (silentMs) =>
      session.drop(new MesosError(code, `${base} has said nothing for ${Math.round(silentMs)} ms`)),
    );
  let present = watch(FIRST_EVENT_MS, 'timeout');
  return {
    heard: () => present.heard(),
    subscribed: (intervalSeconds) => {
      ended.abort();
      ended = new AbortController();
      present = watch(silenceMsFor(intervalSeconds), 'heartbeat-missed');
    },
    end: () => ended.abort(),
  };
}

/** What cannot be read from its very beginning is no stream of a Mesos master. */
function beforeFirst(error: unknown, answer: MasterAnswer, session: Session): unknown {
  const known = mesosErrorOf(error, answer.base, session.signal);
  if (!(known instanceof MesosError)) return known;
  if (known.code !== 'malformed-record' && known.code !== 'record-too-large') return known;
  return new MesosError('not-mesos', `${answer.base} does not send Mesos events: ${known.message}`, {
    cause: known,
    hint: 'Check that the address is that of a Mesos master (its default port is 5050).',
  });
}

function stuckRecord(base: string): MesosError {
  const message = `${base} has not finished a record within ${RECORD_MS_MAX} ms`;
  return new MesosError('connection-lost', message);
}
