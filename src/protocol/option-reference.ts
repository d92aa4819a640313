import type { AliasReading, OptionAlias, OptionSpec } from './option-spec.ts';
import { OPTION_KEYS, optionSpec, variableOf } from './options.ts';
import { IGNORED } from './retired-options.ts';

/** What an option has when nothing gives it, for people. */
function defaultOf(spec: OptionSpec<unknown>): string {
  return spec.initial === null ? (spec.otherwise ?? 'none') : spec.kind.format(spec.initial);
}

/** Lines for a terminal: every option with its variable, its default and what it is for. */
export function optionHelp(columns = 100): string {
  const blocks = OPTION_KEYS.map(optionSpec).map((spec) => {
    const head = `  --${spec.name} <${spec.kind.name}>`;
    const facts = `Default: ${defaultOf(spec)}. Environment: ${variableOf(spec.name)}.`;
    return [head, ...wrap(spec.about, columns - 8), ...wrap(facts, columns - 8)].join('\n        ');
  });
  const config = [
    '  --config <path>',
    'A JSON file with option names as keys. A flag wins over the environment, the environment over the file.',
  ];
  return [config.join('\n        '), ...blocks].join('\n');
}

function wrap(text: string, columns: number): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + word.length + 1 > columns) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}

/** `docs/options.md`. */
export function renderOptionReference(): string {
  const sections = OPTION_KEYS.map(optionSpec).map((spec) => [
    `## --${spec.name}`,
    '',
    spec.about,
    '',
    `- Value: ${spec.kind.accepts}.`,
    `- Default: ${spec.initial === null ? defaultOf(spec) : `\`${defaultOf(spec)}\``}.`,
    `- Environment: \`${variableOf(spec.name)}\`. Key in the file: \`${spec.name}\`.`,
    ...(spec.aliases.length === 0 ? [] : [`- Also: ${spec.aliases.map(aliasText).join(', ')}.`]),
    `- A new value takes effect: ${EFFECTS[spec.changes]}.`,
    '',
  ]);
  return [...HEAD, ...sections.flat(), ...tail()].join('\n');
}

const EFFECTS = {
  restart: 'when the scheduler is started again',
  'new places': 'for members that are placed from then on; those that run keep theirs',
  update:
    'for members that are placed from then on; those that run get it one after the other, see updates.md',
  never: 'never: it is part of what the cluster is',
} as const;

const HEAD = [
  '# Options of the scheduler',
  '',
  'Made from `src/protocol/options.ts` by `npm run docs`.',
  '',
  'A flag (`--name value` or `--name=value`) wins over the environment, the environment over the file that',
  '`--config` (or `ETCD_MESOS_CONFIG`) names, the file over the default. An empty variable counts as not set.',
  'The file is a JSON object; nested objects are read as names joined by dots, so `{"node": {"count": 3}}` is',
  '`node.count`. An unknown option, a value out of range, and two names for one option that disagree in the',
  'same source are errors: the scheduler says what is wrong with every option and ends with exit code 2.',
  '',
  'Flags may be written with one dash, as in 2015. Between options these rules hold:',
  '',
  '- `--election-timeout` is at least 5 times `--heartbeat-interval`.',
  '- `--disk` is at least 3 times `--quota-backend-bytes` and 512 MiB.',
  '- `--reseed-timeout` is at least 10 times, `--unreachable-timeout` at least once `--election-timeout`.',
  '- `--zk-auth-file` comes with a `zk://` address in `--zk-framework-persist` or `--master`.',
  '- Options of the archive come with `--archive`, those of S3 with an `--archive` in S3, where',
  '  `--archive-segment-interval` is not 0.',
  '- `--artifact-uri` comes with `--artifact-sha256`, and with neither `--artifact-file` nor `--etcd-binary`.',
  '',
];

function tail(): readonly string[] {
  return [
    '## Names without effect',
    '',
    'These are taken with a warning: ' +
      `${IGNORED.map((entry) => aliasName(entry.in, entry.name)).join(', ')}.`,
    '',
  ];
}

const READING_NOTES: Readonly<Record<AliasReading, string>> = {
  seconds: ' (a number alone counts seconds)',
  milliseconds: ' (a number alone counts milliseconds)',
  verbosity: ' (2 and more is `debug`)',
  'auto-reseed-2015': ' (`true` there means `terminal`)',
};

function aliasText(alias: OptionAlias): string {
  const isSingleDash = alias.in === 'flag' && alias.reading === 'auto-reseed-2015';
  const name = isSingleDash ? `\`-${alias.name}\` with one dash` : aliasName(alias.in, alias.name);
  const note = alias.weak === true ? ' (gives way to the option’s own names)' : '';
  return name + (alias.reading === undefined ? note : READING_NOTES[alias.reading]);
}

function aliasName(source: OptionAlias['in'], name: string): string {
  if (source === 'flag') return `\`--${name}\``;
  return source === 'environment' ? `\`${name}\`` : `\`${name}\` in the file`;
}
