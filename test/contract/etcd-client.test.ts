import { describe } from 'vitest';
import { startModelCluster } from '../real-etcd/plain-cluster.ts';
import { etcdClientContract } from './etcd-client.ts';

// The other side, every etcd at hand, is in test/real-etcd/client.test.ts.
describe('the model of etcd', () => etcdClientContract(startModelCluster));
