import { expect, test } from 'vitest';
import { etcdErrorOf, provesQuorum } from '../../src/etcd/error-texts.ts';

test.for([
  [14, 'etcdserver: unhealthy cluster', 'unhealthy-cluster'],
  [9, 'etcdserver: re-configuration failed due to not enough started members', 'unhealthy-cluster'],
  [9, 'etcdserver: too many learner members in cluster', 'too-many-learners'],
  [9, 'etcdserver: can only promote a learner member which is in sync with leader', 'learner-not-ready'],
  [9, 'etcdserver: can only promote a learner member', 'not-a-learner'],
  [14, 'etcdserver: rpc not supported for learner', 'refused-on-learner'],
  [5, 'etcdserver: member not found', 'member-not-found'],
  [9, 'etcdserver: member ID already exist', 'member-exists'],
  [9, 'etcdserver: Peer URLs already exists', 'peer-url-exists'],
  [14, 'etcdserver: no leader', 'no-leader'],
  [14, 'etcdserver: leader changed', 'no-leader'],
  [9, 'etcdserver: not leader', 'not-leader'],
  [14, 'etcdserver: request timed out, possibly due to previous leader failure', 'timeout'],
  [4, 'Deadline exceeded', 'timeout'],
  [1, 'Cancelled on client', 'aborted'],
  [14, 'No connection established', 'unavailable'],
  [13, 'Response message parsing error', 'protocol'],
  [12, 'unknown service', 'protocol'],
  [2, 'anything else', 'other'],
] as const)('gRPC %i %j means %s', ([status, detail, code]) => {
  const error = etcdErrorOf('MemberAdd', status, detail, null);
  expect(error.code).toBe(code);
  expect(error.message).toBe(`MemberAdd: ${detail}`);
});

test('a refusal for lack of a name says what is the matter', () => {
  const error = etcdErrorOf('Snapshot', 2, 'auth: user name is empty', null);
  expect(error.code).toBe('needs-user');
  expect(error.message).toBe(
    'Snapshot: etcd’s authentication is on, and no user is known here: auth: user name is empty',
  );
});

test('a refusal for lack of permission comes after the quorum was asked', () => {
  expect(provesQuorum('etcdserver: permission denied')).toBe(true);
  expect(provesQuorum('etcdserver: user name is empty')).toBe(true);
  expect(provesQuorum('etcdserver: no leader')).toBe(false);
});
