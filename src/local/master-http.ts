import { identify, type Realm } from './authentication.ts';
import { subscribe } from './master-frameworks.ts';
import type { MasterInput } from './master-io.ts';
import type { Framework, Master } from './master-state.ts';
import { MESOS_BUILD } from './mesos-build.ts';
import { answerOperator } from './operator-api.ts';
import { differingPrincipal, type ParsedCall, parseSchedulerCall } from './scheduler-call.ts';
import { type AcceptedCall, carryOut, changeFramework } from './scheduler-calls.ts';
import { redirection } from './standby.ts';
import { showSlaves, showState, showTasks } from './state-endpoints.ts';

type Request = Extract<MasterInput, { kind: 'request' }>;

/** The whole answer to a request. */
interface Answer {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
/** Answered already, with a stream that stays open. */
type Streaming = 'streaming';

/** Characters of a request's body. */
const BODY_CHARACTERS_MAX = 64 * 1024 * 1024;
const JSON_TYPE = 'application/json';
const PROTOBUF_TYPE = 'application/x-protobuf';
const TEXT_TYPE = 'text/plain; charset=utf-8';

/** Answers a whole HTTP request: now, all of it, or with a stream that stays open. */
export function answerRequest(master: Master, request: Request): void {
  const answer = route(master, request);
  if (answer === 'streaming') return;
  master.outputs.push({ kind: 'respond', exchange: request.exchange, ...answer });
}

function route(master: Master, request: Request): Answer | Streaming {
  const [path = '', query = ''] = request.path.split('?', 2);
  if (request.body.length > BODY_CHARACTERS_MAX) {
    return text(413, `413 Request Entity Too Large. At most ${BODY_CHARACTERS_MAX} bytes are taken.`);
  }
  const endpoint = path.startsWith('/master/') ? path.slice('/master'.length) : path;
  const realm = REALMS.get(endpoint) ?? null;
  const sender = identify(master.config.authentication, realm, request.headers['authorization']);
  if (sender === 'refused') return unauthorized(realm);
  const { principal } = sender;
  if (master.leadership.kind === 'standby' && realm !== null) return redirect(master, request);
  switch (endpoint) {
    case '/redirect':
      return redirect(master, request);
    case '/api/v1/scheduler':
      return withJson(request, (json) => answerScheduler(master, request, { json, principal }));
    case '/api/v1':
      return withJson(request, (json) => answerOperatorCall(master, json, principal));
    case '/state':
      return json(showState(master, principal));
    case '/slaves':
      return json(showSlaves(master));
    case '/tasks':
      return json(showTasks(master, new URLSearchParams(query), principal));
    case '/version':
      return json(MESOS_BUILD);
    case '/health':
      return done(200);
    default:
      return text(404, '404 Not Found.');
  }
}

/** What asks for credentials, where the master does at all; and what a standby does not answer itself. */
const REALMS: ReadonlyMap<string, Realm> = new Map([
  ['/api/v1/scheduler', 'scheduler'],
  ['/api/v1', 'readwrite'],
  ['/state', 'readonly'],
  ['/slaves', 'readonly'],
  ['/tasks', 'readonly'],
]);

function unauthorized(realm: Realm | null): Answer {
  const refusal = text(401, '401 Unauthorized.');
  const challenge = `Basic realm="mesos-master-${realm}"`;
  return { ...refusal, headers: { 'www-authenticate': challenge, ...refusal.headers } };
}

function redirect(master: Master, { path }: Request): Answer {
  const location = redirection(master, path);
  if (location === null) return text(503, 'No leader elected');
  return { status: 307, headers: { location }, body: '' };
}

/** The checks are Mesos's, in its order and with its words. */
function answerScheduler(
  master: Master,
  request: Request,
  { json: body, principal }: { readonly json: unknown; readonly principal: string | null },
): Answer | Streaming {
  const parsed = parseSchedulerCall(body, principal);
  if (parsed.kind === 'invalid') return text(400, parsed.message);
  if (parsed.kind === 'unsupported') return unsupported(parsed.what);
  if (parsed.kind === 'subscribe') return answerSubscribe(master, request, parsed);
  const framework = master.frameworks.get(parsed.frameworkId);
  if (framework === undefined) return text(400, 'Framework cannot be found');
  if (principal !== null && principal !== framework.info.principal) {
    return text(400, differingPrincipal(principal, framework.info.principal ?? ''));
  }
  return refusal(request, framework) ?? answerCall(master, framework, parsed.call);
}

function answerSubscribe(
  master: Master,
  { headers, exchange }: Request,
  { call }: Extract<ParsedCall, { kind: 'subscribe' }>,
): Answer | Streaming {
  if (!accepts(headers['accept'], JSON_TYPE)) {
    return text(406, `Expecting 'Accept' to allow '${PROTOBUF_TYPE}' or '${JSON_TYPE}'`);
  }
  if (headers['mesos-stream-id'] !== undefined) {
    return text(400, "Subscribe calls should not include the 'Mesos-Stream-Id' header");
  }
  subscribe(master, exchange, call);
  return 'streaming';
}

/** Calls are taken from the scheduler that is subscribed now. */
function refusal({ headers }: Request, framework: Framework): Answer | null {
  const streamId = headers['mesos-stream-id'];
  if (framework.stream === null) return text(403, 'Framework is not subscribed');
  if (streamId === undefined) {
    return text(400, "All non-subscribe calls should include the 'Mesos-Stream-Id' header");
  }
  if (streamId === framework.stream.streamId) return null;
  return text(
    400,
    `The stream ID '${streamId}' included in this request didn't match the stream ID currently ` +
      `associated with framework ID ${framework.id}`,
  );
}

function answerCall(
  master: Master,
  framework: Framework,
  call: Extract<ParsedCall, { kind: 'call' }>['call'],
): Answer {
  if (call.type === 'UPDATE_FRAMEWORK') {
    const problem = changeFramework(master, framework, call.update_framework);
    return problem === null ? done(200) : text(problem.status, problem.message);
  }
  carryOut(master, framework, call as AcceptedCall);
  return done(202);
}

function answerOperatorCall(master: Master, call: unknown, principal: string | null): Answer {
  const answer = answerOperator(master, call, principal);
  switch (answer.kind) {
    case 'json':
      return json(answer.body);
    case 'done':
      return done(200);
    case 'refused':
      return text(answer.status, answer.message);
    case 'unsupported':
      return unsupported(answer.what);
  }
}

/** Goes on with the JSON of a POST's body, or answers why there is none. */
function withJson(
  { method, headers, body }: Request,
  next: (json: unknown) => Answer | Streaming,
): Answer | Streaming {
  if (method !== 'POST') {
    const problem = `405 Method Not Allowed. Expecting one of { 'POST' }, but received '${method}'.`;
    return { status: 405, headers: { allow: 'POST', 'content-type': TEXT_TYPE }, body: problem };
  }
  const contentType = headers['content-type'];
  if (contentType === undefined) return text(400, "Expecting 'Content-Type' to be present");
  if (contentType === PROTOBUF_TYPE) return unsupported(PROTOBUF_TYPE);
  if (contentType !== JSON_TYPE) {
    return text(415, `Expecting 'Content-Type' of ${JSON_TYPE} or ${PROTOBUF_TYPE}`);
  }
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch (error) {
    const where = syntaxErrorOf(body, error instanceof Error ? error.message : '');
    return text(400, `Failed to parse body into JSON: ${where}`);
  }
  return next(value);
}

/**
 * In the words of the parser that Mesos uses: the line, and what is left of it from the first wrong character.
 * Where our parser does not tell the position, the end of the body stands for it.
 */
function syntaxErrorOf(body: string, problem: string): string {
  const position = Number(/at position (\d+)/.exec(problem)?.[1] ?? body.length);
  const line = body.slice(0, position).split('\n').length;
  const [rest = ''] = body.slice(position).split('\n', 1);
  return `syntax error at line ${line} near: ${rest}`;
}

/** Whether an `Accept` header allows a media type; without one everything is allowed. */
function accepts(header: string | undefined, mediaType: string): boolean {
  if (header === undefined || header.trim() === '') return true;
  const [kind = ''] = mediaType.split('/');
  return header.split(',').some((range) => {
    const [name = '', ...parameters] = range.split(';').map((part) => part.trim());
    const isZero = parameters.some((parameter) => /^q=0(\.0*)?$/.test(parameter));
    return !isZero && [mediaType, `${kind}/*`, '*/*'].includes(name);
  });
}

function done(status: 200 | 202): Answer {
  return { status, headers: {}, body: '' };
}

function text(status: number, body: string): Answer {
  return { status, headers: { 'content-type': TEXT_TYPE }, body };
}

function json(body: unknown): Answer {
  return { status: 200, headers: { 'content-type': JSON_TYPE }, body: JSON.stringify(body) };
}

/** Nothing that Mesos does and the local one does not is passed over in silence. */
function unsupported(what: string): Answer {
  return text(501, `501 Not Implemented. The local Mesos does not do ${what}.`);
}
