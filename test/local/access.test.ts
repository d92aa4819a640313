import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { authenticatorFrom, readAcls, readCredentials } from '../../src/local/access-files.ts';
import { createAuthorizer, parseAcls } from '../../src/local/acls.ts';
import {
  createBasicAuthenticator,
  createTokenAuthenticator,
  identify,
} from '../../src/local/authentication.ts';
import { createMachines, scalar } from './mesos-machines.ts';

const basic = (text: string) => `Basic ${Buffer.from(text).toString('base64')}`;

describe('credentials', () => {
  const authenticate = createBasicAuthenticator(new Map([['etcd', 'a:secret']]));
  it.each([
    [basic('etcd:a:secret'), 'etcd'],
    [basic('etcd:a'), null],
    [basic('other:a:secret'), null],
    [basic('etcd'), null],
    [basic(':a:secret'), null],
    ['Basic', null],
    ['token=etcd:a:secret', null],
  ])('%s stand for %j', (header, principal) => {
    expect(authenticate(header)).toBe(principal);
  });

  it('are asked for where they are wanted only', () => {
    const authentication = { authenticate, realms: new Set(['scheduler'] as const) };
    expect(identify(authentication, 'readonly', undefined)).toEqual({ principal: null });
    expect(identify(authentication, null, undefined)).toEqual({ principal: null });
    expect(identify(null, 'scheduler', undefined)).toEqual({ principal: null });
    expect(identify(authentication, 'scheduler', undefined)).toBe('refused');
    expect(identify(authentication, 'scheduler', basic('etcd:a:secret'))).toEqual({ principal: 'etcd' });
  });

  it('may be a token, whose verifier says whose', () => {
    const tokens = createTokenAuthenticator((token) => (token === 'good' ? 'etcd' : null));
    expect(tokens('token=good')).toBe('etcd');
    expect(tokens('Bearer good')).toBe('etcd');
    expect(tokens('token=bad')).toBeNull();
    expect(tokens(basic('etcd:good'))).toBeNull();
  });
});

describe('files', () => {
  let directory = '';
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-access-'));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));
  const file = (content: string) => {
    const path = join(directory, 'file');
    writeFileSync(path, content);
    return path;
  };

  it('hold credentials in either of the forms of Mesos', () => {
    const expected = new Map([['etcd', 'secret']]);
    expect(readCredentials(file('{"credentials": [{"principal": "etcd", "secret": "secret"}]}'))).toEqual(
      expected,
    );
    expect(readCredentials(file('\netcd secret\n\n'))).toEqual(expected);
    expect(() => readCredentials(file('{"credentials": 3, "secret": "hidden"}'))).toThrow(
      expect.objectContaining({
        code: 'bad-credentials',
        message: expect.not.stringContaining('hidden') as string,
      }),
    );
    expect(() => readCredentials(join(directory, 'none'))).toThrow(
      expect.objectContaining({ code: 'bad-credentials' }),
    );
  });

  it('hold tokens that come and go', () => {
    const path = file('one etcd\n');
    const authenticate = authenticatorFrom({ credentials: null, tokens: path });
    expect(authenticate?.('token=one')).toBe('etcd');
    file('two etcd\n');
    expect(authenticate?.('token=one')).toBeNull();
    expect(authenticate?.('token=two')).toBe('etcd');
    expect(authenticatorFrom({ credentials: null, tokens: null })).toBeNull();
  });

  it.each([
    ['{'],
    ['[]'],
    ['{"no_such": []}'],
    ['{"run_tasks": [{"principals": {"values": ["a"]}}]}'],
    ['{"permissive": 3}'],
  ])('hold no ACLs: %s', (content) => {
    expect(() => readAcls(file(content))).toThrow(expect.objectContaining({ code: 'bad-acls' }));
  });
});

describe('ACLs', () => {
  const only = { principals: { values: ['a'] }, roles: { values: ['r', 's'] } };
  const nobody = { principals: { type: 'NONE' }, roles: { values: ['r'] } };
  const nothing = { principals: { type: 'ANY' }, roles: { type: 'NONE' } };
  const some = [only, nothing];
  it.each([
    ['what is asked is allowed by the first that is about it', some, 'a', ['r'], true],
    ['all objects must be', some, 'a', ['r', 'other'], false],
    ['others are forbidden', some, 'b', ['r'], false],
    ['so is nobody in particular', some, null, ['r'], false],
    ['and anything', some, 'a', null, false],
    ['what none is about is allowed', [nobody], 'b', ['s'], true],
    ['nobody at all', [nobody], 'b', ['r'], false],
    ['without any', [], 'b', ['r'], true],
  ])('%s', (_, acls, principal, objects, expected) => {
    const authorize = createAuthorizer(parseAcls(JSON.stringify({ reserve_resources: acls })));
    expect(authorize('reserve_resources', principal, objects)).toBe(expected);
    const strict = createAuthorizer(parseAcls(JSON.stringify({ permissive: false, reserve_resources: [] })));
    expect(strict('reserve_resources', principal, objects)).toBe(false);
  });

  const machinesWith = (acls: object) =>
    createMachines(undefined, { authorize: createAuthorizer(parseAcls(JSON.stringify(acls))) });

  it('hide frameworks and tasks, and forbid what operators do', () => {
    const machines = machinesWith({
      view_frameworks: [{ principals: { type: 'ANY' }, users: { type: 'NONE' } }],
      mark_agents_gone: [{ principals: { type: 'ANY' }, agents: { type: 'NONE' } }],
      drain_agents: [{ principals: { type: 'ANY' }, agents: { type: 'NONE' } }],
      teardown_frameworks: [{ principals: { type: 'ANY' }, framework_principals: { type: 'NONE' } }],
      update_maintenance_schedules: [{ principals: { type: 'ANY' }, machines: { type: 'NONE' } }],
    });
    const scheduler = machines.subscribe();
    const agent_id = { value: machines.agents[0]?.agentId() };
    const window = { machine_ids: [{ hostname: 'x' }], unavailability: { start: { nanoseconds: 1 } } };
    for (const call of [
      { type: 'MARK_AGENT_GONE', mark_agent_gone: { agent_id } },
      { type: 'DRAIN_AGENT', drain_agent: { agent_id } },
      { type: 'TEARDOWN', teardown: { framework_id: { value: scheduler.frameworkId } } },
      {
        type: 'UPDATE_MAINTENANCE_SCHEDULE',
        update_maintenance_schedule: { schedule: { windows: [window] } },
      },
    ]) {
      expect([call.type, machines.operator(call)]).toMatchObject([call.type, { status: 403 }]);
    }
    expect(JSON.parse(machines.operator({ type: 'GET_FRAMEWORKS' }).body)).toMatchObject({
      get_frameworks: { frameworks: [] },
    });
    expect(JSON.parse(machines.request({ method: 'GET', path: '/state' }).body)).toMatchObject({
      frameworks: [],
    });
  });

  it('forbid volumes and what becomes of them by their owner', () => {
    const machines = machinesWith({
      create_volumes: [{ principals: { type: 'ANY' }, roles: { type: 'NONE' } }],
      unreserve_resources: [{ principals: { type: 'ANY' }, reserver_principals: { type: 'NONE' } }],
    });
    const scheduler = machines.subscribe({ principal: 'p' });
    const [offer] = scheduler.offers();
    if (offer === undefined) throw new Error('there is an offer');
    const reserved = {
      ...scalar('disk', 10),
      reservations: [{ type: 'DYNAMIC' as const, role: 'etcd', principal: 'p' }],
    };
    const volume = {
      ...reserved,
      disk: {
        persistence: { id: 'v', principal: 'p' },
        volume: { mode: 'RW' as const, container_path: 'data' },
      },
    };
    scheduler.accept(offer, [
      { type: 'RESERVE', reserve: { resources: [reserved] } },
      { type: 'CREATE', id: { value: 'c' }, create: { volumes: [volume] } },
      { type: 'UNRESERVE', id: { value: 'u' }, unreserve: { resources: [reserved] } },
    ]);
    const refusals = scheduler
      .operations()
      .map(({ operation_id, state, message }) => [
        operation_id?.value,
        state,
        message?.slice(0, message.indexOf(' on object')),
      ]);
    expect(refusals).toEqual([
      ['c', 'OPERATION_ERROR', "Principal 'p' no authorized to perform action CREATE_VOLUME"],
      ['u', 'OPERATION_ERROR', "Principal 'p' no authorized to perform action UNRESERVE_RESOURCES"],
    ]);
  });
});
