import { type ChannelOptions, Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import { jsonOf, readBody } from '../base/body.ts';
import type { Clock, HttpTransport } from '../base/ports.ts';
import { etcdErrorOf, provesQuorum } from './error-texts.ts';
import {
  alarmMethod,
  compactMethod,
  confirmMethod,
  defragmentMethod,
  disarmMethod,
  hashKvMethod,
  keySizesMethod,
  memberAddMethod,
  memberListMethod,
  memberPromoteMethod,
  memberRemoveMethod,
  moveLeaderMethod,
  putMethod,
  rangeMethod,
  statusMethod,
  type UnaryMethod,
} from './messages.ts';
import { type EtcdClient, EtcdError, type KvClient, type KvHash } from './port.ts';

export interface EtcdEndpoint {
  /** `http://` or `https://`, host and port of a member's client listener. */
  readonly url: string;
  /** For `https`: PEM. Absent parts are the system's roots and no client certificate. */
  readonly credentials?: {
    readonly rootCertificates?: Buffer;
    readonly privateKey?: Buffer;
    readonly certificateChain?: Buffer;
  };
}

/** No other call lasts longer, whatever its signal allows: etcd itself gives a request up after 5 s + 2 elections. */
const ETCD_CALL_MS_MAX = 15_000;
/** What works through the whole database; whoever asks knows its size, and says how long that may take. */
const LONG_CALL_MS_MAX = 3_600_000;
/** Members and status of a cluster of seven fit many times over. */
const MESSAGE_BYTES_MAX = 4 * 1024 * 1024;

const CHANNEL_OPTIONS: ChannelOptions = {
  // A repeated MemberAdd is not the same as one: whoever asks decides whether to ask again.
  'grpc.enable_retries': 0,
  'grpc.service_config_disable_resolution': 1,
  // The default first pause is a second, longer than an etcd restart takes.
  'grpc.initial_reconnect_backoff_ms': 50,
  'grpc.min_reconnect_backoff_ms': 50,
  'grpc.max_reconnect_backoff_ms': 500,
  // Above etcd's --grpc-keepalive-min-time of 5 s, and only while a call is open: otherwise it hangs up.
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 3_000,
  'grpc.keepalive_permit_without_calls': 0,
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
  // A member is asked directly, never through a proxy of the environment, and on a connection of its own.
  'grpc.enable_http_proxy': 0,
  'grpc.use_local_subchannel_pool': 1,
};

/**
 * A client of exactly one member. Connects at the first call.
 * @param transport for what etcd says over HTTP alone, its cluster version; without one that stays unknown.
 */
export function createEtcdClient(
  endpoint: EtcdEndpoint,
  clock: Clock,
  transport: HttpTransport | null = null,
): EtcdClient {
  const { call, close } = openChannel(endpoint, clock);
  return {
    status: (signal) => call(statusMethod, null, signal),
    clusterVersion: async (signal) =>
      transport === null ? null : await askClusterVersion(transport, endpoint.url, signal),
    confirmQuorum: async (signal) => {
      try {
        await call(confirmMethod, null, signal);
        return { needsUser: false };
      } catch (error) {
        if (!(error instanceof EtcdError && provesQuorum(error.message))) throw error;
        return { needsUser: error.code === 'needs-user' };
      }
    },
    members: (signal) => call(memberListMethod, null, signal),
    alarms: (signal) => call(alarmMethod, null, signal),
    memberAddLearner: async (peerUrl, signal) => {
      const member = await call(memberAddMethod, { peerUrl, isLearner: true }, signal);
      return { memberId: member.id };
    },
    memberRemove: async (memberId, signal) => void (await call(memberRemoveMethod, memberId, signal)),
    memberPromote: async (memberId, signal) => void (await call(memberPromoteMethod, memberId, signal)),
    moveLeader: async (memberId, signal) => void (await call(moveLeaderMethod, memberId, signal)),
    defragment: async (signal) => void (await call(defragmentMethod, null, signal, LONG_CALL_MS_MAX)),
    compact: async (revision, physical, signal) =>
      void (await call(compactMethod, { revision, physical }, signal, LONG_CALL_MS_MAX)),
    disarm: async (memberId, alarm, signal) => void (await call(disarmMethod, { memberId, alarm }, signal)),
    hashKv: (revision, signal) => askHashKv(call, revision, signal),
    keySizes: async (from, countMax, signal) => await call(keySizesMethod, { from, countMax }, signal),
    close,
  };
}

/** As {@link EtcdClient.hashKv}. */
export async function askHashKv(call: Call, revision: string, signal: AbortSignal): Promise<KvHash> {
  const ask = async (at: string) => await call(hashKvMethod, at, signal, LONG_CALL_MS_MAX);
  try {
    return hashOf(await ask(revision));
  } catch (error) {
    if (!(error instanceof EtcdError && error.code === 'compacted')) throw error;
    // What was compacted up to the present revision etcd tells only of who does not name that.
    const present = await ask('0');
    if (present.presentRevision !== revision) throw error;
    return hashOf(present);
  }
}

function hashOf({ hash, compactRevision }: KvHash): KvHash {
  return { hash, compactRevision };
}

/** What `/version` answers with is some fifty bytes. */
const VERSION_BYTES_MAX = 4096;

async function askClusterVersion(
  transport: HttpTransport,
  url: string,
  signal: AbortSignal,
): Promise<string | null> {
  const response = await transport.request({
    method: 'GET',
    url: new URL('/version', url).href,
    headers: {},
    signal,
  });
  const { text } = await readBody(response.body, VERSION_BYTES_MAX);
  const etcdcluster = (jsonOf(text) as { etcdcluster?: unknown } | undefined)?.etcdcluster;
  return typeof etcdcluster === 'string' && /^\d+\.\d+\.\d+/.test(etcdcluster) ? etcdcluster : null;
}

/** Keys and values of exactly one member: what a drill writes and reads back. */
export function createKvClient(endpoint: EtcdEndpoint, clock: Clock): KvClient {
  const { call, close } = openChannel(endpoint, clock);
  return {
    put: (key, value, signal) => call(putMethod, { key, value }, signal),
    range: (from, to, countMax, signal) => call(rangeMethod, { from, to, countMax }, signal),
    close,
  };
}

type Call = ReturnType<typeof openChannel>['call'];

/** One channel to one member; a call on it ends by its signal or its deadline. */
export function openChannel(endpoint: EtcdEndpoint, clock: Clock, options: ChannelOptions = {}) {
  const all = { ...CHANNEL_OPTIONS, ...options };
  const client = new Client(targetOf(endpoint.url), credentialsOf(endpoint), all);
  const closed = new AbortController();
  return {
    client,
    /** Aborts when the channel is closed. */
    closed: closed.signal,
    call: <Request, Response>(
      method: UnaryMethod<Request, Response>,
      request: Request,
      signal: AbortSignal,
      callMsMax = ETCD_CALL_MS_MAX,
    ): Promise<Response> => {
      const deadlineMs = clock.wallMs() + callMsMax;
      return unary(client, method, request, { signals: [signal, closed.signal], deadlineMs });
    },
    close: () => {
      closed.abort();
      client.close();
    },
  };
}

function unary<Request, Response>(
  client: Client,
  method: UnaryMethod<Request, Response>,
  request: Request,
  limits: { readonly signals: readonly AbortSignal[]; readonly deadlineMs: number },
): Promise<Response> {
  const name = method.path.slice(method.path.lastIndexOf('/') + 1);
  const { signals } = limits;
  return new Promise<Response>((resolve, reject) => {
    if (signals.some((signal) => signal.aborted)) {
      reject(new EtcdError('aborted', `${name}: aborted`));
      return;
    }
    const call = client.makeUnaryRequest(
      method.path,
      method.encode,
      (bytes: Buffer) => method.decode(bytes),
      request,
      new Metadata(),
      { deadline: limits.deadlineMs },
      (error: ServiceError | null, response?: Response) => {
        for (const signal of signals) signal.removeEventListener('abort', cancel);
        if (error !== null) reject(etcdErrorOf(name, error.code, error.details, error));
        else if (response === undefined) reject(new EtcdError('protocol', `${name}: no answer`));
        else resolve(response);
      },
    );
    const cancel = () => call.cancel();
    for (const signal of signals) signal.addEventListener('abort', cancel, { once: true });
  });
}

function targetOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port === '' ? '2379' : port}`;
}

function credentialsOf(endpoint: EtcdEndpoint) {
  if (!endpoint.url.startsWith('https:')) return credentials.createInsecure();
  const { rootCertificates = null, privateKey = null, certificateChain = null } = endpoint.credentials ?? {};
  return credentials.createSsl(rootCertificates, privateKey, certificateChain);
}
