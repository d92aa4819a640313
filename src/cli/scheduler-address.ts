import { InvalidArgumentError, Option } from 'commander';

/** `--scheduler`, for the commands that ask a running scheduler. */
export function schedulerAddress(): Option {
  return new Option('--scheduler <url>', 'the scheduler’s API')
    .env('ETCD_MESOS_SCHEDULER')
    .default('http://127.0.0.1:23400')
    .argParser((text) => {
      const url = URL.parse(text);
      if (url !== null && ['http:', 'https:'].includes(url.protocol)) return text;
      throw new InvalidArgumentError('It must be a URL, such as http://127.0.0.1:23400.');
    });
}

/** `--token-file`, for the commands that change something from another machine than the scheduler's. */
export function tokenFile(): Option {
  return new Option(
    '--token-file <path>',
    'file with the token of the scheduler’s --api-token-file; not needed on its own machine',
  ).env('ETCD_MESOS_TOKEN_FILE');
}
