import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { advertisedHost, type RouteTo } from '../../src/runtime/advertised-host.ts';

/** A machine with these routes: who is not named is not reached. */
const routes =
  (table: Readonly<Record<string, string>>): RouteTo =>
  (host) =>
    Promise.resolve(table[host] ?? null);
const OUTWARD = { '127.0.0.1': '127.0.0.1', '198.51.100.1': '10.0.0.7', '10.0.0.1': '10.0.0.7' };

describe('the address that agents are told', () => {
  const masterUrls = ['http://127.0.0.1:5050'];

  it('is the one that is listened on, whatever leads to the master', async () => {
    const listen = '127.0.0.1';
    const far = { listen, masterUrls: ['http://10.0.0.1:5050'] };
    expect(await advertisedHost(far, routes(OUTWARD))).toBe('127.0.0.1');
    expect(await advertisedHost({ listen: 'etcd.example', masterUrls }, routes(OUTWARD))).toBe(
      'etcd.example',
    );
  });

  it('is the one that is named, but none that stands for all', async () => {
    const server = { listen: '0.0.0.0', masterUrls };
    expect(await advertisedHost({ ...server, hostname: '10.0.0.9' }, routes(OUTWARD))).toBe('10.0.0.9');
    for (const hostname of ['0.0.0.0', '::', null]) {
      expect(await advertisedHost({ ...server, hostname }, routes(OUTWARD))).toBe('10.0.0.7');
    }
  });

  it('is the one from which the first master is reached that has a route', async () => {
    const server = { listen: '0.0.0.0', masterUrls: ['http://nowhere:5050', 'http://10.0.0.1:5050'] };
    expect(await advertisedHost(server, routes(OUTWARD))).toBe('10.0.0.7');
  });

  it('is no loopback for the agents of a master on this machine, where there is another', async () => {
    const server = { listen: '0.0.0.0', masterUrls };
    expect(await advertisedHost(server, routes(OUTWARD))).toBe('10.0.0.7');
    expect(await advertisedHost(server, routes({ '127.0.0.1': '127.0.0.1' }))).toBe('127.0.0.1');
    const six = { '::1': '::1', '2001:db8::1': '2001:db8::7' };
    expect(await advertisedHost({ listen: '::', masterUrls: ['http://[::1]:5050'] }, routes(six))).toBe(
      '2001:db8::7',
    );
  });

  it('is one of this machine', async () => {
    const own = Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((one) => one.address));
    expect(own).toContain(await advertisedHost({ listen: '0.0.0.0', masterUrls }));
  });
});
