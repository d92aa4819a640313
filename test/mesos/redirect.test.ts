import { describe, expect, it } from 'vitest';
import { MesosError } from '../../src/mesos/errors.ts';
import { isRedirect, redirectedBase } from '../../src/mesos/redirect.ts';

const PATH = '/api/v1/scheduler';

describe('a redirect', () => {
  it.each([
    ['//10.0.0.2:5050/master/api/v1/scheduler', 'http://10.0.0.2:5050/master'],
    ['//10.0.0.2:5050', 'http://10.0.0.2:5050'],
    ['//10.0.0.2:5050/', 'http://10.0.0.2:5050'],
    ['http://10.0.0.2:5050/api/v1/scheduler', 'http://10.0.0.2:5050'],
    ['https://leader.example/mesos/api/v1/scheduler/', 'https://leader.example/mesos'],
    ['/master/api/v1/scheduler', 'http://10.0.0.1:5050/master'],
    ['//[::1]:5050/master/api/v1/scheduler', 'http://[::1]:5050/master'],
  ])('to %s leads to %s', (location, base) => {
    expect(redirectedBase('http://10.0.0.1:5050', PATH, location)).toBe(base);
  });

  it('keeps the scheme where it names none', () => {
    expect(redirectedBase('https://a:5050', PATH, '//b:5050/master/api/v1/scheduler')).toBe(
      'https://b:5050/master',
    );
  });

  it.each([
    undefined,
    '',
    'http://',
    '//',
    'ftp://b/api/v1/scheduler',
    'http://b/login?next=x',
    '//b:99999/',
  ])('to %j is none of Mesos', (location) => {
    let thrown: unknown;
    try {
      redirectedBase('http://a:5050', PATH, location);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(MesosError);
    expect(thrown).toMatchObject({ code: 'not-mesos' });
  });

  it('is told by its status', () => {
    const statuses = [200, 202, 300, 301, 302, 303, 304, 307, 308, 400, 503];
    expect(statuses.filter(isRedirect)).toEqual([301, 302, 303, 307, 308]);
  });
});
