import { Argument, type Command } from 'commander';
import { publishedPlanSchema } from '../protocol/view.ts';
import { connect } from './operation.ts';
import { planTree } from './plan-tree.ts';
import { schedulerAddress, tokenFile } from './scheduler-address.ts';

/** What `etcd-mesos plan` and `etcd-mesos update` are given. */
export interface PlanFlags {
  readonly scheduler: string;
  readonly tokenFile?: string;
  readonly json?: true;
  readonly force?: true;
}

/** `etcd-mesos plan …`: what is done, in the words of DC/OS, and how it is held and let go. */
export function register(command: Command): void {
  command
    .command('list')
    .description('the plans')
    .option('--json', 'print what the API answers')
    .addOption(schedulerAddress())
    .action(async (flags: PlanFlags) => {
      const text = await (await connect({ ...flags, wait: false })).text('/v1/plans');
      const names = JSON.parse(text) as string[];
      process.stdout.write(flags.json === true ? text : names.map((name) => `${name}\n`).join(''));
    });
  command
    .command('status')
    .alias('show')
    .description('a plan with its phases and steps')
    .addArgument(plan())
    .option('--json', 'print what the API answers')
    .addOption(schedulerAddress())
    .action(showPlan);
  for (const { verb, aliases, about, parts } of VERBS) {
    const change = command.command(verb).aliases(aliases).description(about).addArgument(plan());
    for (const [name, what] of parts) change.argument(name, what);
    if (verb === 'start') change.option('--force', FORCE);
    change
      .addOption(schedulerAddress())
      .addOption(tokenFile())
      .action(async (name: string, ...rest: readonly unknown[]) => {
        const words = rest.filter((one) => typeof one === 'string');
        const flags = rest.find((one) => typeof one === 'object' && one !== null) as PlanFlags;
        await tellPlan(name, verb, { flags, phase: words[0], step: words[1] });
      });
  }
}

export const FORCE = 'although the other members are no quorum: no write is acknowledged while one restarts';

const PARTS = [
  ['[phase]', 'its name or id'],
  ['[step]', 'its name or id'],
] as const;
const VERBS = [
  { verb: 'start', aliases: [], about: 'give the word that a plan waits for', parts: [] },
  {
    verb: 'pause',
    aliases: ['stop', 'interrupt'],
    about: 'have nothing more of a plan begun; it stays so until it is resumed',
    parts: PARTS.slice(0, 1),
  },
  {
    verb: 'resume',
    aliases: ['continue'],
    about: 'go on with what was paused, failed or waits for a word',
    parts: PARTS.slice(0, 1),
  },
  {
    verb: 'restart',
    aliases: ['force-restart'],
    about: 'try again what failed, or what was forced',
    parts: PARTS,
  },
  {
    verb: 'force-complete',
    aliases: ['force'],
    about: 'count a step as complete: its member is left as it is',
    parts: [
      ['<phase>', 'its name or id'],
      ['<step>', 'its name or id'],
    ],
  },
] as const;
type Verb = (typeof VERBS)[number]['verb'];

const plan = (): Argument => new Argument('<plan>', 'such as update');

export async function showPlan(name: string, flags: PlanFlags): Promise<void> {
  const client = await connect({ ...flags, wait: false });
  // Answered with 202 while it is not complete and with 417 after a failure: the view has it in any case.
  const { plans } = await client.view();
  const found = plans.find((one) => one.name === name);
  if (found === undefined) {
    process.stdout.write(await client.text(`/v1/plans/${encodeURIComponent(name)}`));
    return;
  }
  const text =
    flags.json === true ? `${JSON.stringify(publishedPlanSchema.parse(found), null, 2)}\n` : planTree(found);
  process.stdout.write(text);
}

export async function tellPlan(
  name: string,
  verb: Verb,
  of: { readonly flags: PlanFlags; readonly phase?: string | undefined; readonly step?: string | undefined },
): Promise<void> {
  const { flags, phase, step } = of;
  const client = await connect({ ...flags, wait: false });
  const query = new URLSearchParams({
    ...(phase === undefined ? {} : { phase }),
    ...(step === undefined ? {} : { step }),
    ...(flags.force === true ? { force: 'true' } : {}),
  }).toString();
  const path = `/v1/plans/${encodeURIComponent(name)}/${PATHS[verb]}${query === '' ? '' : `?${query}`}`;
  const answer = await client.post(path, {});
  process.stdout.write(`${detailOf(answer)}\n`);
}

const PATHS: Readonly<Record<Verb, string>> = {
  start: 'start',
  pause: 'interrupt',
  resume: 'continue',
  restart: 'restart',
  'force-complete': 'forceComplete',
};

/** What was done; or, not as JSON, that it was done before. */
function detailOf(answer: string): string {
  try {
    const { detail, message } = JSON.parse(answer) as { detail?: string; message?: string };
    return detail ?? message ?? answer.trim();
  } catch {
    return answer.trim();
  }
}
