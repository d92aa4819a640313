import { isZooKeeperUrl } from '../base/zookeeper-url.ts';
import { contradiction, type OptionProblem } from './option-problem.ts';
import type { SchedulerOptions } from './options.ts';

/** What must be true between the options of ZooKeeper. */
export function zooKeeperRules({
  zkState,
  zkAuthFile,
  masterUrls,
}: SchedulerOptions): readonly OptionProblem[] {
  if (zkAuthFile === null || zkState !== null || masterUrls.some(isZooKeeperUrl)) return [];
  return [
    contradiction(
      '--zk-auth-file',
      '--zk-auth-file is given, but neither --zk-framework-persist nor --master names a ZooKeeper',
      'Give --zk-framework-persist zk://<host>:2181/<path>, or leave --zk-auth-file out.',
    ),
  ];
}

/** Where the order key lies, or with ZooKeeper a copy of it, where nothing else is said. */
export function orderKeyFileIn(stateDir: string): string {
  return `${stateDir.replace(/\/+$/, '')}/order-key.pem`;
}
