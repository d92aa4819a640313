import { startLocalCluster } from '../../src/runtime/local.ts';
import { startScheduler } from '../local/scheduler-client.ts';

// A process that owns a local cluster with a running task, for a test that kills it.
const [directory = ''] = process.argv.slice(2);
const cluster = await startLocalCluster({
  directory,
  agents: [{ hostname: 'a.example', cpus: 1, memMb: 512, diskMb: 512 }],
});
const scheduler = startScheduler(cluster.masterUrl);
await scheduler.launch('t1', 'a.example', 'exec sleep 600');
await scheduler.awaitUpdate('t1', { state: 'TASK_RUNNING' });
cluster.stopAgent(0);
const [task] = cluster.tasks(0);
process.stdout.write(`${JSON.stringify({ masterUrl: cluster.masterUrl, taskPid: task?.taskPid })}\n`);
