import { createHash, timingSafeEqual } from 'node:crypto';
import type { Context, Handler, Hono, MiddlewareHandler } from 'hono';
import { bodyLimit } from 'hono/body-limit';

/** What the server behind the API knows of a request beside the request itself. */
export interface ApiBindings {
  /** The peer's address; `null` where there is none to know, which counts as far away. */
  readonly remoteAddress: string | null;
}
export type ApiEnvironment = { Bindings: ApiBindings };
export type ApiContext = Context<ApiEnvironment>;

/**
 * `status`: read by anyone. `data`: a bearer token, unless it is asked over loopback. What is not a GET changes
 * state and is treated as `data` whatever its route says.
 */
export interface ApiRoute {
  readonly method: 'get' | 'post' | 'put' | 'delete';
  readonly path: string;
  readonly access: 'status' | 'data';
  readonly about: string;
  /** Of what changes state, the names that its query may have: one that is mistyped would be a change of more. Default: none. */
  readonly query?: readonly string[];
  readonly handler: Handler<ApiEnvironment>;
}

/** Names the scheduler that handed a request on: such a request is not handed on again, and is never local. */
export const FORWARDED_BY = 'x-etcd-mesos-forwarded-by';

/** Bytes of a request's body. */
export const BODY_BYTES_MAX = 1024 * 1024;

/**
 * Mounts a table of routes, each under its guard. Whatever is mounted here is guarded by its method alone if it
 * says nothing: a later route cannot forget to.
 */
export function mountRoutes(
  app: Hono<ApiEnvironment>,
  routes: readonly ApiRoute[],
  token: string | null,
): void {
  app.use(
    bodyLimit({
      maxSize: BODY_BYTES_MAX,
      onError: (context) =>
        problem(context, 413, `the body has more than ${BODY_BYTES_MAX} bytes`, 'Send less at once.'),
    }),
  );
  for (const route of routes) {
    const isOpen = route.method === 'get' && route.access === 'status';
    const guard = [
      ...(isOpen ? [] : [guardOf(token)]),
      ...(route.method === 'get' ? [] : [knownQuery(route.query ?? [])]),
    ];
    app.on(route.method.toUpperCase(), [route.path], ...guard, route.handler);
  }
  for (const path of new Set(routes.map((route) => route.path)))
    app.all(path, methodNotAllowed(path, routes));
  app.notFound((context) =>
    problem(context, 404, `nothing is at ${new URL(context.req.url).pathname}`, 'GET / lists what there is.'),
  );
}

function methodNotAllowed(path: string, routes: readonly ApiRoute[]): Handler<ApiEnvironment> {
  const methods = routes.filter((route) => route.path === path).map((route) => route.method.toUpperCase());
  const allowed = [...new Set(methods.flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method])))];
  return (context) => {
    context.header('allow', allowed.join(', '));
    return problem(context, 405, `${context.req.method} is not for ${path}`, `Use ${allowed.join(' or ')}.`);
  };
}

function knownQuery(names: readonly string[]): MiddlewareHandler<ApiEnvironment> {
  return async (context, next) => {
    const unknown = Object.keys(context.req.query()).find((name) => !names.includes(name));
    if (unknown === undefined) return await next();
    const { pathname } = new URL(context.req.url);
    const known = names.length === 0 ? 'It takes none.' : `It takes ${names.join(', ')}.`;
    return problem(
      context,
      400,
      `${pathname} takes no ${unknown} in its query`,
      `${known} Nothing was changed.`,
    );
  };
}

function guardOf(token: string | null): MiddlewareHandler<ApiEnvironment> {
  const digest = token === null ? null : digestOf(token);
  return async (context, next) => {
    if (isLocal(context)) return await next();
    if (digest === null) {
      return problem(
        context,
        403,
        'without an API token this is served over loopback alone',
        'Start the scheduler with --api-token-file, or ask from its own machine.',
      );
    }
    const given = /^Bearer +(\S+)$/i.exec(context.req.header('authorization') ?? '')?.[1];
    if (given !== undefined && timingSafeEqual(digestOf(given), digest)) return await next();
    context.header('www-authenticate', 'Bearer');
    const what = given === undefined ? 'a bearer token is needed' : 'the bearer token is not the right one';
    return problem(context, 401, what, 'Send the header "Authorization: Bearer <token>".');
  };
}

/** Digests have one length, and comparing them tells nothing of the token. */
const digestOf = (token: string): Buffer => createHash('sha256').update(token).digest();

/**
 * The request was made on this machine and for itself: not handed on by a proxy, and not by a web page of
 * somebody else's that a browser here shows (nor by one whose name was made to point here).
 */
function isLocal(context: ApiContext): boolean {
  if (!isLoopback(context.env.remoteAddress)) return false;
  const header = (name: string): string | undefined => context.req.header(name);
  if (HANDED_ON.some((name) => header(name) !== undefined)) return false;
  const target = new URL(context.req.url);
  const name = target.hostname.replace(/^\[|\]$/g, '');
  if (name !== 'localhost' && !isLoopback(name)) return false;
  const origin = header('origin');
  return origin === undefined || URL.parse(origin)?.host === target.host;
}

const HANDED_ON = ['forwarded', 'x-forwarded-for', 'x-real-ip', FORWARDED_BY] as const;

export function isLoopback(address: string | null): boolean {
  if (address === null) return false;
  const plain = address.toLowerCase().replace(/^::ffff:/, '');
  return plain === '::1' || /^127(\.\d{1,3}){3}$/.test(plain);
}

export type ProblemStatus = 400 | 401 | 403 | 404 | 405 | 409 | 413 | 500 | 502 | 503 | 504;
/** What DC/OS' plans answer with: not complete yet, and errors. */
export type PlanAnswerStatus = 202 | 417;

/** An answer that says what is wrong and what to do, as JSON. */
export function problem(context: Context, status: ProblemStatus, message: string, hint: string): Response {
  return json(context, { error: message, hint }, status);
}

/** JSON for people too: two spaces, and a line end for terminals. */
export function json(
  context: Context,
  value: unknown,
  status: ProblemStatus | PlanAnswerStatus | 200 = 200,
): Response {
  return context.body(`${JSON.stringify(value, null, 2)}\n`, status, {
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
  });
}
