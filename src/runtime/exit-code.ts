import { RestoreError } from '../backup/restore-error.ts';
import { CodedError } from '../base/errors.ts';
import { StateStoreError } from '../base/ports.ts';
import { EtcdBinaryError } from '../etcd/versions.ts';
import { SchedulerError } from '../framework/config.ts';
import { LocalMesosError } from '../local/local-error.ts';
import { MesosError } from '../mesos/errors.ts';
import { ServiceAccountError } from '../mesos/service-account.ts';
import { OptionsError } from '../protocol/option-sources.ts';
import { RecordError } from '../protocol/record.ts';
import { OrderKeyError } from '../protocol/signature.ts';
import { ZooKeeperError } from '../zookeeper/errors.ts';
import { ArtifactError } from './artifact.ts';
import { SchedulerClientError } from './scheduler-client.ts';
import { StartError } from './start-error.ts';

/** With which code the program ends, and why; `docs/exit-codes.md` tells what to do about each. */
const EXIT = {
  ok: 0,
  /** It ran and the answer is no: not healthy, not there yet, nobody answers. */
  failed: 1,
  badOptions: 2,
  noMaster: 3,
  cannotListen: 4,
  state: 5,
  /** The master refuses the framework, or has given it to another scheduler, or has removed it. */
  refused: 6,
  etcd: 7,
  notFirstStart: 8,
  artifact: 9,
  /** An option that may not change has. */
  frozen: 10,
  /** A bug of ours. */
  internal: 70,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The code for an error that ended a role. */
export function exitCodeOf(error: unknown): ExitCode {
  if (error instanceof OptionsError) return EXIT.badOptions;
  if (error instanceof StartError) return START_CODES[error.code];
  if (error instanceof SchedulerError) return SCHEDULER_CODES[error.code];
  if (error instanceof MesosError) return mesosCode(error);
  if (error instanceof ServiceAccountError) return EXIT.badOptions;
  if (error instanceof StateStoreError || error instanceof RecordError) return EXIT.state;
  if (error instanceof OrderKeyError) return EXIT.state;
  if (error instanceof EtcdBinaryError) return EXIT.etcd;
  if (error instanceof ArtifactError) return EXIT.artifact;
  if (error instanceof LocalMesosError) return LOCAL_CODES[error.code];
  if (error instanceof ZooKeeperError) return EXIT.state;
  if (error instanceof RestoreError && isBadInput(error)) return EXIT.badOptions;
  if (error instanceof SchedulerClientError && error.code === 'token-unreadable') return EXIT.badOptions;
  return error instanceof CodedError ? EXIT.failed : EXIT.internal;
}

const isBadInput = ({ code }: RestoreError): boolean => code === 'bad-target' || code === 'bad-output';

const LOCAL_CODES: Readonly<Record<LocalMesosError['code'], ExitCode>> = {
  'port-in-use': EXIT.cannotListen,
  'no-free-ports': EXIT.cannotListen,
  'not-loopback': EXIT.badOptions,
  'bad-agent': EXIT.badOptions,
  'bad-masters': EXIT.badOptions,
  'bad-acls': EXIT.badOptions,
  'bad-credentials': EXIT.badOptions,
  'work-directory-in-use': EXIT.state,
  'checkpoint-unreadable': EXIT.state,
  'start-failed': EXIT.failed,
  'operator-call-failed': EXIT.failed,
  'processes-left': EXIT.failed,
  'registry-taken': EXIT.failed,
};

const START_CODES: Readonly<Record<StartError['code'], ExitCode>> = {
  'config-unreadable': EXIT.badOptions,
  'secret-unreadable': EXIT.badOptions,
  'ca-unusable': EXIT.badOptions,
  'state-unusable': EXIT.state,
  'order-key-missing': EXIT.state,
  'port-in-use': EXIT.cannotListen,
  'cannot-listen': EXIT.cannotListen,
  'launch-unusable': EXIT.badOptions,
  'artifact-unusable': EXIT.artifact,
};

const SCHEDULER_CODES: Readonly<Record<SchedulerError['code'], ExitCode>> = {
  'no-master': EXIT.noMaster,
  'command-not-stored': EXIT.state,
  'record-conflict': EXIT.state,
  'wrong-record': EXIT.state,
  'option-frozen': EXIT.frozen,
  'already-running': EXIT.refused,
  'not-a-first-start': EXIT.notFirstStart,
  'nothing-to-adopt': EXIT.notFirstStart,
};

function mesosCode(error: MesosError): ExitCode {
  switch (error.code) {
    case 'bad-master-address':
      return EXIT.badOptions;
    case 'refused-login':
    case 'refused-unauthenticated':
    case 'refused-forbidden':
    case 'refused-subscription':
    case 'framework-removed':
    case 'failed-over':
    case 'bad-call':
      return EXIT.refused;
    default:
      return EXIT.noMaster;
  }
}
