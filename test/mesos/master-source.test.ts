import { describe, expect, it } from 'vitest';
import { MesosError } from '../../src/mesos/errors.ts';
import { createFixedMasterSource, parseMasterAddresses } from '../../src/mesos/master-source.ts';

describe('the addresses of masters', () => {
  it.each([
    ['master', ['http://master:5050']],
    ['master.mesos:5050', ['http://master.mesos:5050']],
    ['10.0.0.1:80', ['http://10.0.0.1:80']],
    ['[::1]:5050', ['http://[::1]:5050']],
    ['[fe80::2]', ['http://[fe80::2]:5050']],
    ['http://10.0.0.1:5050/', ['http://10.0.0.1:5050']],
    ['http://10.0.0.1', ['http://10.0.0.1']],
    ['HTTPS://leader.mesos/mesos/', ['https://leader.mesos/mesos']],
    [' a:1 , b:2,http://c:3', ['http://a:1', 'http://b:2', 'http://c:3']],
    ['a:1,a:1', ['http://a:1']],
  ])('reads %j', async (addresses, bases) => {
    expect(parseMasterAddresses(addresses)).toEqual(bases);
    expect(await createFixedMasterSource(addresses).next(new AbortController().signal)).toEqual(bases);
  });

  it.each([
    ['', 'it is empty'],
    ['  ', 'it is empty'],
    ['a,,b', 'one of the addresses in the list is empty'],
    ['zk://10.0.0.1:2181/mesos', 'its scheme is zk'],
    ['ftp://master', 'its scheme is ftp'],
    ['file:///etc/mesos/zk', 'its scheme is file'],
    ['master:0', 'its port is 0'],
    ['master:65536', 'host:port (1 to 65535)'],
    ['master:port', 'host:port (1 to 65535)'],
    ['master 1:5050', 'no host'],
    ['http://', 'no host'],
    ['http://root:secret@master:5050', 'credentials'],
    ['http://master/?x=1', 'query'],
    ['master/mesos', 'scheme in front'],
  ])('refuses %j', (addresses, why) => {
    let thrown: unknown;
    try {
      parseMasterAddresses(addresses);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(MesosError);
    expect(thrown).toMatchObject({ code: 'bad-master-address', hint: expect.stringContaining('host:port') });
    expect((thrown as MesosError).message).toContain(why);
    expect((thrown as MesosError).message).not.toContain('secret');
  });
});
