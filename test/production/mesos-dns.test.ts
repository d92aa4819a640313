import { Resolver } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { decode, streamEncode } from 'dns-packet';
import { afterEach, describe, expect, it } from 'vitest';
import { type DnsServer, startDnsServer } from './dns-server.ts';
import { mesosDnsRecords } from './mesos-dns.ts';

/** The rules themselves, on the state that a real master told of two tasks: a member's and a name task. */

const TRACE = join(import.meta.dirname, '../data/mesos-traces/21-member-and-client-name-tasks.jsonl');
const lines = readFileSync(TRACE, 'utf8').trim().split('\n');
const recorded = lines
  .map((line) => JSON.parse(line) as { request?: { path?: string }; response?: { body?: unknown } })
  .find(({ request }) => request?.path === '/state')?.response?.body;

const servers: DnsServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});

describe('the records of a recorded state', () => {
  const { a, srv } = mesosDnsRecords(recorded);

  it('hold both names that etcd looks for, each with its own port', () => {
    const [server] = srv.get('_etcd-server._tcp.etcd.mesos') ?? [];
    const [client] = srv.get('_etcd-client._tcp.etcd.mesos') ?? [];
    expect(server).toEqual({
      target: expect.stringMatching(/^etcd-server-\w{5}-s0\.etcd\.mesos$/),
      port: 31_000,
    });
    expect(client).toEqual({
      target: expect.stringMatching(/^etcd-client-\w{5}-s0\.etcd\.mesos$/),
      port: 31_001,
    });
    expect(a.get(server?.target ?? '')).toEqual(['127.0.0.1']);
    expect(srv.get('_client._etcd-client._tcp.etcd.mesos')).toEqual([client]);
    expect(srv.has('_etcd-server._udp.etcd.mesos')).toBe(false);
  });

  it('tell of reserved ports under the agents alone, and of the framework by its host', () => {
    const ports = srv.get('_etcd-server._tcp.etcd.slave.mesos')?.map(({ port }) => port);
    expect(ports).toEqual([31_000, 31_001]);
    expect(srv.has('_etcd-client._tcp.etcd.slave.mesos')).toBe(false);
    expect(a.get('etcd.mesos')).toEqual(['127.0.0.1']);
  });

  it('are served over UDP and TCP', async () => {
    const server = await startDnsServer({ address: '127.0.0.1', port: 0, records: () => ({ a, srv }) });
    servers.push(server);
    const resolver = new Resolver();
    resolver.setServers([`${server.address}:${server.port}`]);
    const [client] = await resolver.resolveSrv('_etcd-client._tcp.etcd.mesos');
    expect(client?.port).toBe(31_001);
    expect(await resolver.resolve4(client?.name ?? '')).toEqual(['127.0.0.1']);
    await expect(resolver.resolveSrv('_etcd-client-ssl._tcp.etcd.mesos')).rejects.toThrow('ENOTFOUND');
    expect(await portsOverTcp(server, '_etcd-server._tcp.etcd.mesos')).toEqual([31_000]);
  });
});

async function portsOverTcp(server: DnsServer, name: string): Promise<number[]> {
  const socket = connect(server.port, server.address);
  const received = await new Promise<Buffer>((resolve, reject) => {
    socket.once('error', reject).once('data', resolve);
    socket.write(streamEncode({ type: 'query', id: 7, questions: [{ type: 'SRV', name }] }));
  });
  socket.destroy();
  return (decode(received.subarray(2)).answers ?? []).flatMap((one) =>
    one.type === 'SRV' ? [one.data.port] : [],
  );
}
