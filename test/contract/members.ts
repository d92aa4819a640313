import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Launch, PREVIOUS_PROTOCOL_VERSION, PROTOCOL_VERSION } from '../../src/protocol/launch.ts';
import { type MemberStatus, memberStatusSchema } from '../../src/protocol/member-status.ts';
import { type Members, MembersError, STATUS_WAIT_MS_MAX } from '../../src/protocol/members-port.ts';
import type { Order, OrderBody, Receipt, SignedOrder } from '../../src/protocol/orders.ts';
import { createOrderKey, type OrderKey, signOrder } from '../../src/protocol/signature.ts';
import { prepare, starts, TOKEN } from '../member/model-member.ts';
import type { VirtualClock } from '../sim/virtual-clock.ts';

/** One supervisor, ready, on a blank volume, and a way to ask it. */
export interface MembersFixture {
  readonly members: Members;
  /** The same for a scheduler of the previous release, which understands one version less. */
  readonly previous: Members;
  readonly url: string;
  /** An address at which nobody listens. */
  readonly nobody: string;
  readonly launch: Launch;
  readonly key: OrderKey;
  /** The supervisor's. */
  readonly clock: VirtualClock;
  /** SIGKILL of the supervisor. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

/** What every implementation of {@link Members} keeps. */
export function membersContract(create: () => Promise<MembersFixture>): void {
  let fixture: MembersFixture;
  let counter: number;
  beforeEach(async () => {
    fixture = await create();
    counter = 0;
  });
  afterEach(async () => await fixture.close());

  /** Lets the supervisor's time pass, and the network's, until the promise is settled. */
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false;
    const note = () => {
      settled = true;
    };
    void promise.then(note, note);
    while (!settled) {
      await fixture.clock.advance(5);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    return await promise;
  };
  const never = (): AbortSignal => new AbortController().signal;
  const status = async (): Promise<MemberStatus> =>
    await settle(fixture.members.status(fixture.url, null, never()));
  const order = (body: OrderBody, envelope: Partial<Order> = {}, key = fixture.key): SignedOrder => {
    counter += 1;
    const { cluster, task } = fixture.launch;
    const head = { id: `order-${counter}`, cluster, task, epoch: 1, attempt: 1, generation: 1, counter };
    return signOrder({ ...head, ...envelope, ...body } as Order, key);
  };
  const give = async (signed: SignedOrder): Promise<Receipt> =>
    await settle(fixture.members.order(fixture.url, signed, never()));
  const elapsedMs = async (work: Promise<unknown>): Promise<number> => {
    const beforeMs = fixture.clock.monotonicMs();
    await settle(work);
    return fixture.clock.monotonicMs() - beforeMs;
  };

  test('the status is a whole one, of the supervisor at that address', async () => {
    const now = await status();
    expect(memberStatusSchema.parse(now)).toEqual(now);
    const { cluster, slot, seat, task } = fixture.launch;
    expect(now).toMatchObject({
      cluster,
      slot,
      seat,
      task,
      phase: 'idle',
      identity: null,
      fence: { epoch: 0 },
    });
  });

  test('who understands this version is told in it, who does not in the previous one', async () => {
    expect((await status()).protocol).toBe(PROTOCOL_VERSION);
    const { previous, url } = fixture;
    const plain = await settle(previous.status(url, null, never()));
    expect(plain.protocol).toBe(PREVIOUS_PROTOCOL_VERSION);
    const news = await settle(previous.status(url, { after: plain.sequence - 1, waitMs: 0 }, never()));
    expect(news).toEqual(plain);
  });

  test('a scheduler of the previous release has its orders carried out, and sees that they were', async () => {
    const { previous, url } = fixture;
    for (const body of [prepare, starts('bootstrap')]) {
      const receipt = await settle(previous.order(url, order(body), never()));
      expect(receipt).toMatchObject({ outcome: 'done', problem: null });
    }
    const now = await settle(previous.status(url, null, never()));
    expect(now).toMatchObject({ protocol: PREVIOUS_PROTOCOL_VERSION, identity: { started: true } });
  });

  test('orders are carried out, and show in the status', async () => {
    const before = await status();
    const prepared = order(prepare);
    expect(await give(prepared)).toMatchObject({ id: 'order-1', outcome: 'done', problem: null });
    const after = await status();
    expect(after).toMatchObject({ phase: 'prepared', identity: { epoch: 1, attempt: 1, token: TOKEN } });
    expect(after.fence).toEqual({ epoch: 1, generation: 1 });
    expect(after.sequence).toBeGreaterThan(before.sequence);
    expect(await give(order(starts('bootstrap')))).toMatchObject({ outcome: 'done' });
    expect(await status()).toMatchObject({ identity: { started: true }, etcd: { restarts: 0 } });
  });

  test('an order that is given again is answered as it was, and not carried out again', async () => {
    const prepared = order(prepare);
    const receipt = await give(prepared);
    await give(order(starts('bootstrap')));
    expect(await give(prepared)).toEqual(receipt);
    expect((await status()).identity).toMatchObject({ started: true });
  });

  test('what a supervisor refuses comes back as a receipt that says why', async () => {
    expect(await give(order(prepare, { generation: 5 }))).toMatchObject({ outcome: 'done' });
    const refusals: [SignedOrder, Receipt['problem']][] = [
      [order(prepare, {}, createOrderKey().key), 'bad-signature'],
      [{ order: '{}', signature: '' }, 'bad-signature'],
      [order(prepare, { cluster: 'another' }), 'wrong-cluster'],
      [order(prepare, { task: 'another' }), 'wrong-task'],
      [order(prepare, { generation: 4 }), 'stale-generation'],
      [order(prepare, { generation: 5, counter: 1 }), 'replayed'],
    ];
    for (const [signed, problem] of refusals) {
      expect(await give(signed)).toMatchObject({ outcome: 'refused', problem });
    }
    expect((await status()).fence).toEqual({ epoch: 1, generation: 5 });
  });

  test('a question for news waits for it, as long as it says, and then tells what is', async () => {
    const { sequence } = await status();
    const { members, url } = fixture;
    let told: MemberStatus | null = null;
    const ask = async (): Promise<void> => {
      told = await members.status(url, { after: sequence, waitMs: 2_000 }, never());
    };
    expect(await elapsedMs(ask())).toBeGreaterThanOrEqual(2_000);
    expect(told).toMatchObject({ sequence });
  });

  test('news ends the wait, and old news is told at once', async () => {
    const { sequence } = await status();
    const { members, url } = fixture;
    const wait = { after: sequence, waitMs: STATUS_WAIT_MS_MAX };
    const waiting = members.status(url, wait, never());
    const workMs = await elapsedMs(Promise.all([give(order(prepare)), waiting]));
    const news = await waiting;
    expect(news.sequence).toBeGreaterThan(sequence);
    expect(news.phase).toBe('prepared');
    const againMs = await elapsedMs(members.status(url, wait, never()));
    expect(Math.max(workMs, againMs)).toBeLessThan(STATUS_WAIT_MS_MAX / 2);
  });

  test.for([
    { after: 0, waitMs: STATUS_WAIT_MS_MAX + 1 },
    { after: 0, waitMs: -1 },
    { after: 0.5, waitMs: 1 },
  ])('a wait of %j is malformed', async (wait) => {
    const asked = settle(fixture.members.status(fixture.url, wait, never()));
    await expect(asked).rejects.toMatchObject({ code: 'malformed' });
  });

  test('an order that no supervisor reads is malformed', async () => {
    const signed = order(prepare);
    const tooLong = { ...signed, order: signed.order + ' '.repeat(64 * 1024) };
    for (const strange of [tooLong, { ...signed, signature: 'a'.repeat(201) }]) {
      const given = settle(fixture.members.order(fixture.url, strange, never()));
      await expect(given).rejects.toMatchObject({ code: 'malformed' });
    }
    expect((await status()).phase).toBe('idle');
  });

  test('where nobody listens nobody is reached', async () => {
    const { members, nobody } = fixture;
    const questions = [
      async () => await members.status(nobody, null, never()),
      async () => await members.order(nobody, order(prepare), never()),
    ];
    for (const ask of questions) {
      const error: unknown = await settle<unknown>(ask()).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(MembersError);
      expect(error).toMatchObject({ code: 'unreachable', message: expect.stringContaining(nobody) });
    }
  });

  test('who has given up before asks nobody', async () => {
    const { members, url } = fixture;
    const questions = [
      async () => await members.status(url, null, AbortSignal.abort()),
      async () => await members.order(url, order(prepare), AbortSignal.abort()),
    ];
    for (const ask of questions) {
      await expect(settle<unknown>(ask())).rejects.toMatchObject({ code: 'aborted' });
    }
    await fixture.clock.advance(1_000);
    expect((await status()).phase).toBe('idle');
  });

  test('who gives up hears so at once', async () => {
    const { sequence } = await status();
    const asking = new AbortController();
    const wait = { after: sequence, waitMs: STATUS_WAIT_MS_MAX };
    const question = fixture.members.status(fixture.url, wait, asking.signal);
    await elapsedMs(fixture.clock.sleep(500));
    asking.abort();
    const answer = question.then(
      () => 'answered',
      (error: unknown) => (error instanceof MembersError ? error.code : String(error)),
    );
    expect(await elapsedMs(answer)).toBeLessThan(STATUS_WAIT_MS_MAX / 2);
    expect(await answer).toBe('aborted');
  });

  test('an order that was given up may have been carried out; given again it is answered', async () => {
    const signed = order(prepare);
    const giving = new AbortController();
    const given = fixture.members.order(fixture.url, signed, giving.signal);
    giving.abort();
    await expect(settle(given)).rejects.toMatchObject({ code: 'aborted' });
    expect(await give(signed)).toMatchObject({ id: 'order-1', outcome: 'done' });
  });

  test('a supervisor that dies breaks off what it was asked, and is not reached afterwards', async () => {
    const { sequence } = await status();
    const wait = { after: sequence, waitMs: STATUS_WAIT_MS_MAX };
    const asked = fixture.members.status(fixture.url, wait, never());
    const outcome = asked.catch((error: unknown) => error);
    await elapsedMs(fixture.clock.sleep(500));
    await fixture.kill();
    expect(await settle(outcome)).toMatchObject({ code: 'unreachable' });
    const again = settle(fixture.members.status(fixture.url, null, never()));
    await expect(again).rejects.toMatchObject({ code: 'unreachable' });
  });
}
