import { join } from 'node:path';
import { crashTrial } from './crash-trial.ts';
import { readRecord } from './etcd-on-mesos.ts';

crashTrial((directory) => {
  const stateDirectory = join(directory, 'state');
  return Promise.resolve({
    args: ['--state-dir', stateDirectory],
    record: async () => await Promise.resolve(readRecord(stateDirectory)),
    close: () => Promise.resolve(),
  });
});
