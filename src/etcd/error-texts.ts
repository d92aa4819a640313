import { EtcdError } from './port.ts';

/** The gRPC status codes that matter here; numbers of the protocol. */
const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const INTERNAL = 13;
const UNAVAILABLE = 14;
const UNIMPLEMENTED = 12;

const NAMELESS = 'user name is empty';

/**
 * etcd tells its refusals apart by their texts only (`api/v3rpc/rpctypes/error.go`, the same in 3.4 to 3.6).
 * The first that is contained decides, so the longer of two similar texts comes first.
 */
const TEXTS: readonly (readonly [text: string, code: EtcdError['code']])[] = [
  ['unhealthy cluster', 'unhealthy-cluster'],
  ['not enough started members', 'unhealthy-cluster'],
  ['too many learner members', 'too-many-learners'],
  ['promote a learner member which is in sync', 'learner-not-ready'],
  ['can only promote a learner member', 'not-a-learner'],
  ['rpc not supported for learner', 'refused-on-learner'],
  ['member not found', 'member-not-found'],
  ['member ID already exist', 'member-exists'],
  ['Peer URLs already exists', 'peer-url-exists'],
  ['no leader', 'no-leader'],
  ['leader changed', 'no-leader'],
  ['not leader', 'not-leader'],
  ['request timed out', 'timeout'],
  ['database space exceeded', 'no-space'],
  ['corrupt cluster', 'corrupt-cluster'],
  [NAMELESS, 'needs-user'],
  ['required revision has been compacted', 'compacted'],
  ['required revision is a future revision', 'future-revision'],
  ['message larger than max', 'answer-too-large'],
];

/**
 * What a failed call means.
 * @param detail the gRPC status message; etcd's text after `etcdserver: `.
 */
export function etcdErrorOf(call: string, code: number, detail: string, cause: unknown): EtcdError {
  const known = TEXTS.find(([text]) => detail.includes(text));
  const said = detail === '' ? `gRPC status ${code}` : detail;
  // What etcd says of that tells nobody what is the matter.
  const why = known?.[1] === 'needs-user' ? 'etcd’s authentication is on, and no user is known here: ' : '';
  const message = `${call}: ${why}${said}`;
  return new EtcdError(known?.[1] ?? byStatus(code), message, { cause });
}

/**
 * With authentication on, or under a CORRUPT alarm, etcd refuses a read only after the read index was confirmed by a
 * quorum: for the question "is there a quorum" such a refusal is a yes. etcdctl's `endpoint health` judges the first
 * alike.
 */
export function provesQuorum(detail: string): boolean {
  return ['permission denied', NAMELESS, 'corrupt cluster'].some((text) => detail.includes(text));
}

function byStatus(code: number): EtcdError['code'] {
  switch (code) {
    case CANCELLED:
      return 'aborted';
    case DEADLINE_EXCEEDED:
      return 'timeout';
    case UNAVAILABLE:
      return 'unavailable';
    case INTERNAL:
    case UNIMPLEMENTED:
      return 'protocol';
    default:
      return 'other';
  }
}
