import { expect, test } from 'vitest';
import { EtcdBinaryError } from '../../src/etcd/versions.ts';
import { checkEtcd } from '../../src/member/preflight.ts';
import { createMemoryProcesses, type Program } from '../sim/memory-processes.ts';
import { createVirtualClock } from '../sim/virtual-clock.ts';
import { untilEnded } from './model-member.ts';

async function check(setpriv: Program | null) {
  const clock = createVirtualClock({ settleTurns: 3 });
  const processes = createMemoryProcesses({ clock, programs: setpriv === null ? {} : { setpriv } });
  const run = { program: '/opt/etcd', cwd: '/', env: { PATH: '/bin' }, signal: new AbortController().signal };
  const outcome = await clock.during(checkEtcd({ processes, clock }, run).catch((error: unknown) => error));
  return { outcome, processes };
}

test('the version is asked in the way in which etcd will be run', async () => {
  const { outcome, processes } = await check(async (context) => {
    context.say('etcd Version: 3.4.23');
    context.say('Git SHA: abc');
    return 0;
  });
  expect(outcome).toMatchObject({ version: { text: '3.4.23' } });
  expect((outcome as { warnings: string[] }).warnings.join('\n')).toContain('15271');
  expect(processes.started[0]?.spec.args).toEqual(['--pdeathsig', 'KILL', '--', '/opt/etcd', '--version']);
});

const says =
  (line: string, code: number): Program =>
  async (context) => {
    context.print(line);
    return code;
  };

test.for([
  ['no setpriv', null, 'not-run', 'setpriv'],
  ['an old setpriv', says("setpriv: unrecognized option '--pdeathsig'", 1), 'not-run', 'too old'],
  [
    'no etcd',
    says('setpriv: failed to execute /opt/etcd: No such file or directory', 127),
    'not-found',
    '/opt/etcd',
  ],
  [
    'an etcd of another machine',
    says('setpriv: failed to execute /opt/etcd: Exec format error', 126),
    'not-found',
    'Exec',
  ],
  ['an etcd that crashes', says('illegal instruction', 132), 'not-run', 'illegal'],
  ['an etcd that hangs', untilEnded, 'not-run', '10000 ms'],
  ['an etcd that is none', says('hello', 0), 'unparsable', 'hello'],
  ['a refused version', says('etcd Version: 3.5.2', 0), 'refused', '13766'],
] as const)('%s', async ([, program, code, named]) => {
  const { outcome, processes } = await check(program);
  expect(outcome).toBeInstanceOf(EtcdBinaryError);
  expect(outcome).toMatchObject({
    code,
    message: expect.stringContaining(named),
    hint: expect.stringMatching(/./),
  });
  expect(processes.running()).toEqual([]);
});
