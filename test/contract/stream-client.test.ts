import { describe } from 'vitest';
import { createFakeMember } from '../backup/fake-member.ts';
import { streamClientContract } from './stream-client.ts';

// The other side, every etcd at hand, is in test/real-etcd/stream-client.test.ts.
describe('the member that tests of the archive follow', () =>
  streamClientContract(async () => {
    const member = createFakeMember();
    return await Promise.resolve({
      connect: () => member.connect('http://m0'),
      write: async () => await Promise.resolve(member.write(1)),
      compact: async (revision: bigint) => await Promise.resolve(member.compact(revision)),
      grant: async () => await Promise.resolve({ id: 5n, ttlSeconds: 10n }),
      changeUsers: async () => {
        member.authRevision = (member.authRevision ?? 0n) + 1n;
        await Promise.resolve();
      },
      tellsAuth: true,
      close: async () => await Promise.resolve(),
    });
  }));
