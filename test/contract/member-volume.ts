import { expect, test } from 'vitest';
import type { MemberVolume, StoredIdentity, VolumeOwner } from '../../src/member/volume.ts';

/** One volume of an implementation under test. */
export interface VolumeFixture {
  /** Who opens it. Default {@link owner}. */
  readonly owner?: VolumeOwner;
  /** A fresh supervisor's view of the same disk. */
  connect(): MemberVolume;
  /** Puts an etcd member's log into a data directory. */
  fillData(volume: MemberVolume, epoch: number): Promise<void>;
  /** Takes the volume away. */
  lose(): Promise<void>;
  /** The file of the fence holds what nobody wrote so. */
  spoilFence(): Promise<void>;
}

export const owner: VolumeOwner = {
  volumeId: 'volume-1',
  walVolumeId: null,
  cluster: 'cluster-1',
  slot: 'etcd-0',
};
export const identity: StoredIdentity = {
  slot: 'etcd-0',
  cluster: 'cluster-1',
  epoch: 1,
  attempt: 1,
  token: 'token-1',
  started: false,
  removed: false,
  clusterId: null,
  memberId: null,
};

/** What every implementation of {@link MemberVolume} keeps. */
export function memberVolumeContract(create: () => Promise<VolumeFixture>): void {
  test('a blank volume holds nothing and takes its first owner', async () => {
    const fixture = await create();
    const volume = fixture.connect();
    await volume.open(fixture.owner ?? owner);
    expect(await volume.readFence()).toBeNull();
    expect(await volume.readIdentity()).toBeNull();
    expect(await volume.readFloor(1)).toBeNull();
    expect(await volume.dataState(1)).toBe('absent');
  });

  test('it stays its first owner’s', async () => {
    const fixture = await create();
    await fixture.connect().open(fixture.owner ?? owner);
    await fixture.connect().open(fixture.owner ?? owner);
    for (const other of [{ volumeId: 'volume-2' }, { cluster: 'cluster-2' }, { slot: 'etcd-1' }]) {
      await expect(fixture.connect().open({ ...(fixture.owner ?? owner), ...other })).rejects.toMatchObject({
        code: 'foreign',
      });
    }
  });

  test('what was written is read by the next supervisor', async () => {
    const fixture = await create();
    const first = fixture.connect();
    await first.open(fixture.owner ?? owner);
    await first.writeFence({ epoch: 1, generation: 7 });
    await first.createData(identity);
    await first.writeFloor(1, { term: '3', index: '18446744073709551615' });
    await first.writeIdentity({ ...identity, started: true, clusterId: 'abc', memberId: 'f' });
    const next = fixture.connect();
    await next.open(fixture.owner ?? owner);
    expect(await next.readFence()).toEqual({ epoch: 1, generation: 7 });
    expect(await next.readIdentity()).toEqual({
      ...identity,
      started: true,
      clusterId: 'abc',
      memberId: 'f',
    });
    expect(await next.readFloor(1)).toEqual({ term: '3', index: '18446744073709551615' });
    expect(await next.dataState(1)).toBe('empty');
  });

  test('epochs lie side by side and the newest one is told', async () => {
    const fixture = await create();
    const volume = fixture.connect();
    await volume.open(fixture.owner ?? owner);
    await volume.createData(identity);
    await fixture.fillData(volume, 1);
    await volume.createData({ ...identity, epoch: 10, token: 'token-10' });
    await volume.createData({ ...identity, epoch: 9, token: 'token-9' });
    expect(await volume.readIdentity()).toMatchObject({ epoch: 10, token: 'token-10' });
    expect(await volume.dataState(1)).toBe('present');
    expect(await volume.dataState(10)).toBe('empty');
    expect(volume.dataDirectory(1)).not.toBe(volume.dataDirectory(10));
  });

  test('a new attempt wipes what an older attempt of its epoch left', async () => {
    const fixture = await create();
    const volume = fixture.connect();
    await volume.open(fixture.owner ?? owner);
    await volume.createData({ ...identity, started: true });
    await fixture.fillData(volume, 1);
    await volume.writeFloor(1, { term: '1', index: '1' });
    await volume.createData({ ...identity, attempt: 2 });
    expect(await volume.readIdentity()).toMatchObject({ attempt: 2, started: false });
    expect(await volume.readFloor(1)).toBeNull();
    expect(await volume.dataState(1)).toBe('empty');
  });

  test('a volume that is not there is missing, before and during use', async () => {
    const fixture = await create();
    const volume = fixture.connect();
    await volume.open(fixture.owner ?? owner);
    await fixture.lose();
    await expect(fixture.connect().open(fixture.owner ?? owner)).rejects.toMatchObject({ code: 'missing' });
    await expect(volume.writeFence({ epoch: 1, generation: 1 })).rejects.toMatchObject({ code: 'missing' });
  });

  test('what cannot be understood is an error and never absent; all else is read', async () => {
    const fixture = await create();
    const volume = fixture.connect();
    await volume.open(fixture.owner ?? owner);
    await volume.writeFence({ epoch: 1, generation: 7 });
    await volume.createData(identity);
    await fixture.spoilFence();
    await expect(fixture.connect().readFence()).rejects.toMatchObject({ code: 'corrupt' });
    const next = fixture.connect();
    await next.open(fixture.owner ?? owner);
    expect(await next.readIdentity()).toEqual(identity);
  });

  test('each epoch has a floor of its own, which a new identity of the same attempt leaves alone', async () => {
    const fixture = await create();
    const volume = fixture.connect();
    await volume.open(fixture.owner ?? owner);
    await volume.createData(identity);
    await volume.createData({ ...identity, epoch: 2, token: 'token-2' });
    await volume.writeFloor(1, { term: '1', index: '5' });
    await volume.writeFloor(2, { term: '2', index: '9' });
    await volume.writeIdentity({ ...identity, started: true });
    expect(await volume.readFloor(1)).toEqual({ term: '1', index: '5' });
    expect(await volume.readFloor(2)).toEqual({ term: '2', index: '9' });
    expect(await volume.readFloor(3)).toBeNull();
  });
}
