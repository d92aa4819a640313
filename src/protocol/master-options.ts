import { credentialKind, durationKind, mastersKind, pathKind, textKind } from './option-kinds.ts';
import { flag, key, option, variable } from './option-spec.ts';

const SECOND_MS = 1000;
const DAY_MS = 86_400_000;
const WORD = /^[^\s]{1,200}$/;

/** The scheduler's options about masters: where they are, and as whom it comes to them. */
export const MASTER_OPTIONS = {
  masterUrls: option({
    name: 'master',
    kind: mastersKind,
    initial: null,
    otherwise: 'it must be given',
    about:
      'The Mesos masters. One that does not lead redirects to the one that does. With a `zk://` address the leader ' +
      'is read where the masters elect it: the address is that of their own `--zk`.',
    changes: 'restart',
    aliases: [variable('MESOS_MASTER'), key('mesos.master')],
  }),
  masterTimeoutMs: option({
    name: 'master-timeout',
    kind: durationKind(0, DAY_MS),
    initial: 30 * SECOND_MS,
    about:
      'How long to look for a master that accepts the first subscription before giving up with exit code 3; ' +
      '0 never gives up. A subscription that is lost later is renewed for ever.',
    changes: 'restart',
  }),
  principal: option({
    name: 'principal',
    kind: textKind(WORD, 'a word without white space'),
    initial: null,
    otherwise: 'the service account where one is given, else <framework-name>-principal',
    about: 'Mesos principal of the framework and of its reservations.',
    changes: 'never',
    aliases: [
      flag('mesos-authentication-principal'),
      key('service.principal'),
      key('service.service_account'),
    ],
  }),
  secretFile: option({
    name: 'secret-file',
    kind: pathKind,
    initial: null,
    otherwise: 'the scheduler does not authenticate',
    about: 'File that holds the principal’s secret, for masters that ask for HTTP Basic authentication.',
    changes: 'restart',
    aliases: [flag('mesos-authentication-secret-file')],
  }),
  serviceAccount: option({
    name: 'service-account-file',
    kind: credentialKind,
    initial: null,
    otherwise: 'no service account is used',
    about:
      'File with the credentials of a DC/OS service account, as its secret holds them: the scheduler logs in with ' +
      'its key, and the account is its principal. The variable of DC/OS may hold the JSON itself.',
    changes: 'restart',
    aliases: [variable('DCOS_SERVICE_ACCOUNT_CREDENTIAL')],
  }),
  masterCaFile: option({
    name: 'master-ca-file',
    kind: pathKind,
    initial: null,
    otherwise: 'those that the system trusts',
    about:
      'Certificates in PEM of the CAs that signed those of https masters and of the login; they are trusted ' +
      'beside the system’s, and for nothing else.',
    changes: 'restart',
  }),
} as const;
