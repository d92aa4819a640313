import { Argument, type Command } from 'commander';
import { commandReceiptSchema, type PodInstance, podStatusSchema } from '../protocol/pod-answer.ts';
import type { PublishedMember, PublishedView } from '../protocol/view.ts';
import { connect, newestLine, type OperationFlags, type Progress, waitFor } from './operation.ts';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';

/** `etcd-mesos pod …`: one member at a time, as DC/OS names what is done to an instance of a pod. */
export function register(command: Command): void {
  command
    .command('list')
    .description('the members’ slots')
    .option('--json', 'print what the API answers')
    .addOption(schedulerAddress())
    .action(async (flags: ReadFlags) => {
      const text = await (await connect({ ...flags, wait: false })).text('/v1/pod');
      process.stdout.write(flags.json === true ? text : lines(JSON.parse(text) as string[]));
    });
  command
    .command('status')
    .description('the tasks of every slot, or of one, and how they are')
    .addArgument(new Argument('[slot]', 'such as etcd-0'))
    .option('--json', 'print what the API answers')
    .addOption(schedulerAddress())
    .action(async (slot: string | undefined, flags: ReadFlags) => {
      const client = await connect({ ...flags, wait: false });
      const text = await client.text(slot === undefined ? '/v1/pod/status' : pathOf(slot, 'status'));
      process.stdout.write(flags.json === true ? text : tree(JSON.parse(text)));
    });
  command
    .command('info')
    .description('where the tasks of a slot run, as JSON')
    .addArgument(new Argument('<slot>', 'such as etcd-0'))
    .addOption(schedulerAddress())
    .action(async (slot: string, flags: ReadFlags) => {
      process.stdout.write(await (await connect({ ...flags, wait: false })).text(pathOf(slot, 'info')));
    });
  for (const { verb, about, done } of VERBS) {
    const change = command
      .command(verb)
      .description(about)
      .addArgument(new Argument('<slot>', 'such as etcd-0'));
    if (verb === 'restart' || verb === 'pause') {
      change.option('--force', 'although the others are no quorum: the cluster takes no writes meanwhile');
    }
    change
      .option('--no-wait', 'end as soon as the scheduler has taken it')
      .option('--json', 'print what the API answers, and nothing while it waits')
      .addOption(schedulerAddress())
      .addOption(tokenFile())
      .addHelpText('after', `\nEnds with 0 when ${done}, with 1 when that is refused or given up.`)
      .action(async (slot: string, flags: ChangeFlags) => await operate(verb, slot, flags));
  }
}

type ReadFlags = Omit<OperationFlags, 'wait'>;
type ChangeFlags = OperationFlags & { readonly force?: true };

const VERBS = [
  {
    verb: 'restart',
    about: 'end the member’s task and launch it in place, on the same data and addresses',
    done: 'the member has caught up again',
  },
  {
    verb: 'replace',
    about: 'move the member to a new place; the data of the old one is destroyed once the new one votes',
    done: 'the new member votes and serves',
  },
  {
    verb: 'pause',
    about: 'stop the member’s etcd; its task, its place and its data stay',
    done: 'its etcd is down',
  },
  { verb: 'resume', about: 'start the etcd of a paused member again', done: 'the member serves again' },
] as const;
type Verb = (typeof VERBS)[number]['verb'];

const pathOf = (slot: string, verb: string): string => `/v1/pod/${encodeURIComponent(slot)}/${verb}`;

async function operate(verb: Verb, slot: string, flags: ChangeFlags): Promise<void> {
  const client = await connect(flags);
  const before = await client.view();
  const text = await client.post(`${pathOf(slot, verb)}?force=${flags.force === true}`, []);
  const receipt = commandReceiptSchema.parse(JSON.parse(text));
  process.stdout.write(flags.json === true ? text : `${receipt.message}\n`);
  if (!flags.wait) return;
  const asked: Asked = { slot, before: membersAt(before, slot), disruption: receipt.disruption };
  await waitFor(client, {
    slots: [slot],
    since: newestLine(before),
    isQuiet: flags.json === true,
    judge: (view) => JUDGES[verb](asked, view),
  });
}

interface Asked {
  readonly slot: string;
  /** The places of the slot when it was asked for. */
  readonly before: readonly PublishedMember[];
  readonly disruption: string | null;
}

const membersAt = (view: PublishedView, slot: string): readonly PublishedMember[] =>
  view.members.filter((member) => member.slot === slot);
const isUnderWay = (view: PublishedView, { disruption }: Asked): boolean =>
  disruption !== null && view.disruption?.id === disruption;
const serves = ({ role, healthy }: PublishedMember): boolean => role === 'voter' && healthy;
const done = (text: string): Progress => ({ isDone: true, text });
const failed = (text: string): Progress => ({ isDone: false, text });

/** What an operation has come to, by what the scheduler shows. */
const JUDGES: Readonly<Record<Verb, (asked: Asked, view: PublishedView) => Progress>> = {
  restart: (asked, view) => {
    const { slot, before, disruption } = asked;
    if (isUnderWay(view, asked)) return null;
    const [member, ...more] = membersAt(view, slot);
    const isNew = member !== undefined && !before.some(({ task }) => task === member.task);
    // Its etcd is up again; where there are too few for a quorum it waits for the others to answer.
    if (isNew && more.length === 0) return serves(member) ? done(`${slot} was restarted`) : null;
    return disruption === null
      ? null
      : failed(`${slot} was not restarted, or is being replaced: see etcd-mesos status`);
  },
  replace: ({ slot, before }, view) => {
    const [member, ...more] = membersAt(view, slot);
    if (member === undefined || more.length > 0 || !serves(member)) return null;
    return before.length === 1 && before[0]?.seat === member.seat
      ? null
      : done(`${slot} was replaced: it is on ${member.hostname} now`);
  },
  pause: (asked, view) => {
    const { slot } = asked;
    if (isUnderWay(view, asked)) return null;
    const paused = membersAt(view, slot).find((member) => member.paused !== null);
    if (paused === undefined) return failed(`${slot} was not paused: see etcd-mesos status`);
    return paused.phase === 'running' || paused.phase === 'backing-off' ? null : done(`${slot} is paused`);
  },
  resume: ({ slot }, view) =>
    membersAt(view, slot).some((member) => serves(member) && member.paused === null)
      ? done(`${slot} serves again`)
      : null,
};

const lines = (texts: readonly string[]): string => texts.map((text) => `${text}\n`).join('');

/** Either all pods or one instance, as a tree. */
function tree(answer: unknown): string {
  const all = podStatusSchema.safeParse(answer);
  const instances = all.success
    ? all.data.pods.flatMap((pod) => pod.instances)
    : podStatusSchema.shape.pods.element.shape.instances.parse([answer]);
  return lines(['etcd', ...branches(instances)]);
}

function branches(instances: readonly PodInstance[]): string[] {
  return instances.flatMap(({ name, tasks }, at) => {
    const isLast = at === instances.length - 1;
    const inner = tasks.map(
      (task, index) => `${index === tasks.length - 1 ? '└─' : '├─'} ${task.name} (${task.status})`,
    );
    return [
      `${isLast ? '└─' : '├─'} ${name}`,
      ...(inner.length === 0 ? ['└─ no task yet'] : inner).map((line) => `${isLast ? ' ' : '│'}  ${line}`),
    ];
  });
}
