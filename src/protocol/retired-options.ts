import type { OptionAlias } from './option-spec.ts';

/** Names of 2015 that have nothing left to say: taken with a warning that gives the reason. */
export const IGNORED: readonly {
  readonly in: OptionAlias['in'];
  readonly name: string;
  readonly why: string;
}[] = [
  ...['logtostderr', 'alsologtostderr', 'log_dir', 'stderrthreshold', 'vmodule', 'log_backtrace_at'].map(
    (name) => ({ in: 'flag' as const, name, why: 'the log goes to stdout, one JSON object a line' }),
  ),
  { in: 'flag', name: 'executor-bin', why: 'members run under Mesos’ own executor' },
  { in: 'flag', name: 'etcdctl-bin', why: 'etcdctl is not used' },
  { in: 'flag', name: 'driver-port', why: 'the v1 HTTP API needs no port of the scheduler' },
  { in: 'flag', name: 'artifact-port', why: 'artifacts are served on --port' },
  { in: 'flag', name: 'mesos-authentication-provider', why: 'authentication is HTTP Basic' },
  { in: 'flag', name: 'mesos-offer-refuse-seconds', why: 'offers are held and declined by need' },
  { in: 'flag', name: 'single-instance-per-slave', why: 'members never share an agent' },
  { in: 'environment', name: 'SINGLE_INSTANCE_PER_SLAVE', why: 'members never share an agent' },
  { in: 'file', name: 'etcd.dns-suffix', why: 'no name is built from it' },
  { in: 'file', name: 'etcd.cpus', why: 'it sizes the scheduler’s own task, which Marathon does' },
  { in: 'file', name: 'etcd.mem', why: 'it sizes the scheduler’s own task, which Marathon does' },
];
