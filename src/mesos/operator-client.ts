import { startDeadline } from '../base/deadline.ts';
import { describeError } from '../base/errors.ts';
import type { Clock, HttpTransport } from '../base/ports.ts';
import { candidateMasters, noneOf } from './candidates.ts';
import type { MasterHeaders } from './credentials.ts';
import { MesosError } from './errors.ts';
import {
  type MasterLink,
  type MasterRequest,
  readRefusal,
  readText,
  requestMaster,
} from './master-request.ts';
import type { MasterSource } from './master-source.ts';
import {
  agentsShape,
  frameworksShape,
  healthShape,
  type MasterState,
  masterStateShape,
  type OperatorAgents,
  type OperatorFrameworks,
  type OperatorTasks,
  tasksShape,
  versionShape,
} from './operator-types.ts';
import { refusalOf } from './refusal.ts';
import { isRecord, type Shape } from './shape.ts';

/** Milliseconds for one question, all redirects, the body, and other masters where the first does not answer. */
export const OPERATOR_DEADLINE_MS = 30_000;
/**
 * The largest answer that is taken, bytes: a master remembers 50,000 completed tasks by default, of 2 to 3 KB each,
 * and tells of ten thousand agents with all that each has, offers and runs.
 */
export const OPERATOR_BODY_BYTES_MAX = 256 * 1024 * 1024;

/** The operator calls that we use. Each rejects with a {@link MesosError}, and asks no more once `signal` aborts. */
export interface OperatorClient {
  getAgents(signal: AbortSignal): Promise<OperatorAgents>;
  getFrameworks(signal: AbortSignal): Promise<OperatorFrameworks>;
  getTasks(signal: AbortSignal): Promise<OperatorTasks>;
  /** Whether the leading master says it is healthy. */
  getHealth(signal: AbortSignal): Promise<boolean>;
  /** The leading master's version, as `1.11.0`. */
  getVersion(signal: AbortSignal): Promise<string>;
  /** The old endpoint `/state`: large, and the only one that tells who leads. */
  getState(signal: AbortSignal): Promise<MasterState>;
  /**
   * Says that the agent will never come back: the master reports its tasks as TASK_GONE_BY_OPERATOR and shuts
   * the agent down should it appear again. Rejects with `bad-call` where the master knows no such agent.
   */
  markAgentGone(agentId: string, signal: AbortSignal): Promise<void>;
}

export interface OperatorClientOptions {
  readonly transport: HttpTransport;
  readonly clock: Clock;
  readonly masters: MasterSource;
  /** Headers that authenticate us, asked for before every request. Default none. */
  readonly headers?: MasterHeaders;
}

export function createOperatorClient(options: OperatorClientOptions): OperatorClient {
  const link: MasterLink = {
    transport: options.transport,
    clock: options.clock,
    headers: options.headers,
  };
  /** The master that answered last, asked first the next time. */
  let leader: string | null = null;

  const ask = async (question: Question, signal: AbortSignal): Promise<string> => {
    const deadline = startDeadline(link.clock, OPERATOR_DEADLINE_MS, signal);
    const failed: MesosError[] = [];
    try {
      for await (const base of candidateMasters(link.clock, leader, options.masters, deadline.signal)) {
        try {
          const answer = await askOne(link, { ...question, base }, deadline.signal);
          leader = answer.base;
          return answer.body;
        } catch (error) {
          if (!isOfThisMaster(error) || deadline.signal.aborted) throw error;
          failed.push(error);
        }
      }
      throw noneOf(failed);
    } finally {
      deadline.cancel();
    }
  };
  const call = async (body: { type: string }, signal: AbortSignal): Promise<string> =>
    await ask({ path: '/api/v1', method: 'POST', body }, signal);
  const get = async <T>(type: string, shape: Shape, signal: AbortSignal): Promise<T> => {
    const field = type.toLowerCase();
    const answer = parseAnswer<Record<string, unknown>>(type, await call({ type }, signal), null);
    if (answer['type'] !== type)
      throw new MesosError('not-mesos', `the answer to ${type} is of another type`);
    return checked<T>(type, answer[field] ?? {}, shape);
  };

  return {
    getAgents: (signal) => get('GET_AGENTS', agentsShape, signal),
    getFrameworks: (signal) => get('GET_FRAMEWORKS', frameworksShape, signal),
    getTasks: (signal) => get('GET_TASKS', tasksShape, signal),
    getHealth: async (signal) => (await get<{ healthy: boolean }>('GET_HEALTH', healthShape, signal)).healthy,
    getVersion: async (signal) =>
      (await get<{ version_info: { version: string } }>('GET_VERSION', versionShape, signal)).version_info
        .version,
    getState: async (signal) =>
      parseAnswer('/state', await ask({ path: '/state', method: 'GET' }, signal), masterStateShape),
    markAgentGone: async (agentId, signal) => {
      const body = { type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id: { value: agentId } } };
      await call(body, signal);
    },
  };
}

type Question = Omit<MasterRequest, 'base'>;

async function askOne(
  link: MasterLink,
  request: MasterRequest,
  signal: AbortSignal,
): Promise<{ readonly base: string; readonly body: string }> {
  const answer = await requestMaster(link, request, signal);
  try {
    if (answer.status === 200 || answer.status === 202) {
      return { base: answer.base, body: await readText(answer, OPERATOR_BODY_BYTES_MAX, signal) };
    }
    const said = await readRefusal(link, answer, signal);
    // A master answers so when it does not know, or is busy with, what the call is about.
    const aboutTheCall = request.method === 'POST' && (answer.status === 404 || answer.status === 409);
    throw refusalOf(answer.base, aboutTheCall ? 400 : answer.status, said);
  } finally {
    answer.close();
  }
}

/** Another master may answer what this one did not. */
function isOfThisMaster(error: unknown): error is MesosError {
  return (
    error instanceof MesosError &&
    ['no-master', 'timeout', 'connection-lost', 'not-mesos', 'redirect-loop'].includes(error.code)
  );
}

function parseAnswer<T>(what: string, body: string, shape: Shape | null): T {
  let answer: unknown;
  try {
    answer = JSON.parse(body);
  } catch (error) {
    const message = `the answer to ${what} is not JSON (${describeError(error)})`;
    throw new MesosError('not-mesos', message, { cause: error });
  }
  if (!isRecord(answer)) throw new MesosError('not-mesos', `the answer to ${what} is no object`);
  return shape === null ? (answer as T) : checked<T>(what, answer, shape);
}

function checked<T>(what: string, value: unknown, shape: Shape): T {
  const problem = shape(value);
  if (problem === null) return value as T;
  throw new MesosError('malformed-record', `the answer to ${what}: ${problem.replace(/^[. ]/, '')}`);
}
