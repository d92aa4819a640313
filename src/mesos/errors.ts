import { CodedError } from '../base/errors.ts';

/**
 * What talking to a master can end in. `refused-*`, `framework-removed` and `failed-over` are for good: asking
 * again changes nothing until a person or another scheduler does.
 */
export class MesosError extends CodedError<
  | 'bad-master-address'
  | 'no-master'
  | 'untrusted-master'
  | 'connection-lost'
  | 'heartbeat-missed'
  | 'redirect-loop'
  | 'malformed-record'
  | 'record-too-large'
  | 'body-too-large'
  | 'not-mesos'
  | 'not-subscribed'
  | 'bad-call'
  | 'login-failed'
  | 'refused-login'
  | 'refused-unauthenticated'
  | 'refused-forbidden'
  | 'refused-subscription'
  | 'framework-removed'
  | 'failed-over'
  | 'timeout'
  | 'aborted'
> {}

/** Codes after which a subscription is not tried again. */
const FINAL_CODES: ReadonlySet<string> = new Set<MesosError['code']>([
  'refused-login',
  'refused-unauthenticated',
  'refused-forbidden',
  'refused-subscription',
  'framework-removed',
  'failed-over',
]);

/** Asking again changes nothing: see {@link MesosError}. */
export function isFinal(error: MesosError): boolean {
  return FINAL_CODES.has(error.code);
}
