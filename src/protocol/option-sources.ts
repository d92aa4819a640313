import { CodedError } from '../base/errors.ts';
import { isZooKeeperUrl } from '../base/zookeeper-url.ts';
import type { OptionProblem } from './option-problem.ts';
import { completeOptions } from './option-rules.ts';
import type { OptionAlias } from './option-spec.ts';
import {
  ENVIRONMENT_PREFIX,
  type GivenOptions,
  OPTION_KEYS,
  type OptionKey,
  optionSpec,
  type SchedulerOptions,
  variableOf,
} from './options.ts';
import { IGNORED } from './retired-options.ts';

/** Every problem of the options at once. The message has a line for each. */
export class OptionsError extends CodedError<OptionProblem['code']> {
  readonly problems: readonly OptionProblem[];
  constructor(problems: readonly [OptionProblem, ...OptionProblem[]]) {
    super(problems[0].code, problems.map((problem) => problem.message).join('\n'), {
      hint: [...new Set(problems.map((problem) => problem.hint))].join('\n'),
    });
    this.problems = problems;
  }
}

export interface OptionInputs {
  /** What follows the command's name. */
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The parsed file and its name for messages; `null` where none is given. */
  readonly file: { readonly name: string; readonly content: unknown } | null;
}

export interface ResolvedOptions {
  /** Complete and deeply frozen. */
  readonly options: SchedulerOptions;
  /** For the log: what was taken but should be said otherwise, or has no effect. */
  readonly warnings: readonly string[];
}

/** Variables that begin like options and are none. */
const OTHER_VARIABLES = ['ETCD_MESOS_LAUNCH', 'ETCD_MESOS_TASK', 'ETCD_MESOS_SCHEDULER'];
/** Arguments that are looked at; more is a mistake. */
const ARGUMENTS_MAX = 1000;
/** How deep a file may nest. */
const DEPTH_MAX = 5;

/**
 * Reads the scheduler's options: a flag wins over the environment, the environment over the file, the file over
 * the default. Throws an {@link OptionsError} that names every problem.
 */
export function resolveOptions(inputs: OptionInputs): ResolvedOptions {
  const sink: Sink = { problems: [], warnings: [] };
  const layers = [
    readFlags(inputs.argv, sink),
    readEnvironment(inputs.environment, sink),
    inputs.file === null ? [] : readFile(inputs.file.name, inputs.file.content, sink),
  ];
  const given: Record<string, unknown> = {};
  for (const optionKey of OPTION_KEYS) given[optionKey] = pick(optionKey, layers, sink);
  throwIfAny(sink.problems);
  const completed = completeOptions(given as unknown as GivenOptions);
  throwIfAny(completed.problems);
  return {
    options: freezeDeep(completed.options),
    warnings: [...sink.warnings, ...completed.warnings],
  };
}

/** The file that `--config` names, from the arguments or the environment; `null` without one. */
export function configFileOf(inputs: Pick<OptionInputs, 'argv' | 'environment'>): string | null {
  const flags = splitFlags(inputs.argv, { problems: [], warnings: [] });
  const fromFlag = flags.findLast((flag) => isConfig(flag.name))?.text;
  return fromFlag ?? inputs.environment[`${ENVIRONMENT_PREFIX}CONFIG`] ?? null;
}

interface Sink {
  readonly problems: OptionProblem[];
  readonly warnings: string[];
}

/** One value that one source gave. */
interface Entry {
  readonly option: OptionKey;
  /** For messages. */
  readonly where: string;
  readonly text: string;
  readonly value: unknown;
  readonly weak: boolean;
}

function pick(optionKey: OptionKey, layers: readonly (readonly Entry[])[], sink: Sink): unknown {
  const kind = optionSpec(optionKey).kind;
  for (const layer of layers) {
    const all = layer.filter((entry) => entry.option === optionKey);
    const strong = all.filter((entry) => !entry.weak);
    const [first, ...others] = strong.length > 0 ? strong : all.slice(0, 1);
    if (first === undefined) continue;
    const other = others.find((entry) => kind.format(entry.value) !== kind.format(first.value));
    if (other !== undefined) {
      sink.problems.push({
        code: 'conflict',
        where: first.where,
        message: `${shown(first)} but ${shown(other)}, and both mean --${optionSpec(optionKey).name}`,
        hint: `Give --${optionSpec(optionKey).name} once.`,
      });
    }
    return first.value;
  }
  return optionSpec(optionKey).initial;
}

/** What a source says, for people, without what must not be shown. */
function shown({ option, where, text }: Entry): string {
  return optionSpec(option).kind.isSecret?.(text) === true ? `${where} is a secret` : `${where} is "${text}"`;
}

function readFlags(argv: readonly string[], sink: Sink): readonly Entry[] {
  if (argv.length > ARGUMENTS_MAX) {
    sink.problems.push({
      code: 'unknown',
      where: 'the command line',
      message: `${argv.length} arguments were given, at most ${ARGUMENTS_MAX} are read`,
      hint: 'See etcd-mesos scheduler --help.',
    });
    return [];
  }
  const entries: Entry[] = [];
  for (const { name, text, spelled } of splitFlags(argv, sink)) {
    // Templates of 2015 pass every flag, with nothing after the sign where nothing is wanted.
    if (name.startsWith('-') && text === '') continue;
    if (isConfig(name)) {
      if (text === null) sink.problems.push(withoutValue(spelled, 'a path'));
      continue;
    }
    const entry = readNamed('flag', name, spelled, text, sink);
    if (entry !== null) entries.push(entry);
  }
  return entries;
}

interface Flag {
  readonly name: string;
  readonly text: string | null;
  readonly spelled: string;
}

/**
 * Splits arguments into flags: `--name value`, `--name=value` and, as Go's flags of 2015, `-name=value`. A word
 * that is no flag and no flag's value is a problem.
 */
function splitFlags(argv: readonly string[], sink: Sink): readonly Flag[] {
  const flags: Flag[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index] ?? '';
    const match = /^(--?)([A-Za-z][A-Za-z0-9_-]*)(?:=([\s\S]*))?$/.exec(word);
    if (match === null) {
      sink.problems.push({
        code: 'unknown',
        where: word,
        message: `"${word}" is not an option`,
        hint: 'Options are written --name value or --name=value; see etcd-mesos scheduler --help.',
      });
      continue;
    }
    const name = match[2] ?? '';
    let text = match[3] ?? null;
    const next = argv[index + 1];
    if (text === null && next !== undefined && !isFlag(next) && !takesNoValue(name)) {
      text = next;
      index += 1;
    }
    // A single dash is how 2015 wrote it: a name whose meaning has changed is read as it was meant then.
    flags.push({ name: match[1] === '-' ? `-${name}` : name, text, spelled: `${match[1]}${name}` });
  }
  return flags;
}

const isConfig = (name: string): boolean => name === 'config' || name === '-config';
const isFlag = (word: string): boolean => /^--?[A-Za-z]/.test(word);
/** Go's boolean flags stand alone. */
const takesNoValue = (name: string): boolean =>
  ['logtostderr', 'alsologtostderr', 'single-instance-per-slave'].includes(name);

function readEnvironment(environment: OptionInputs['environment'], sink: Sink): readonly Entry[] {
  const entries: Entry[] = [];
  for (const name of Object.keys(environment).sort()) {
    const text = environment[name];
    // An empty variable is how templates write "not set".
    if (text === undefined || text === '') continue;
    if (name === `${ENVIRONMENT_PREFIX}CONFIG` || OTHER_VARIABLES.includes(name)) continue;
    if (!name.startsWith(ENVIRONMENT_PREFIX) && !isKnown('environment', name)) continue;
    const entry = readNamed('environment', name, name, text, sink);
    if (entry !== null) entries.push(entry);
  }
  return entries;
}

/** A variable from which an option would be read: what starts a scheduler for a purpose of its own leaves it out. */
export function isOptionVariable(name: string): boolean {
  return name.startsWith(ENVIRONMENT_PREFIX) || isKnown('environment', name);
}

/** Keys are option names; nested objects are read as names joined by dots, as `node.count` in DC/OS packages. */
function readFile(fileName: string, content: unknown, sink: Sink): readonly Entry[] {
  const leaves: (readonly [string, unknown])[] = [];
  collectLeaves(content, '', leaves, 0);
  const entries: Entry[] = [];
  for (const [name, value] of leaves) {
    const where = name === '' ? fileName : `${name} in ${fileName}`;
    const found = findOption('file', name);
    const fromJson = found === null ? undefined : optionSpec(found.option).kind.fromJson;
    const text = fromJson?.(value) ?? textOf(value);
    if (name === '' || text === null) {
      sink.problems.push({
        code: 'bad-value',
        where,
        message: `${where} must be ${name === '' ? 'a JSON object' : 'a text, a number or true or false'}, not ${JSON.stringify(value)}`,
        hint: 'The file is a JSON object with option names as keys, as {"cluster-size": 3}.',
      });
      continue;
    }
    const entry = readNamed('file', name, where, text, sink);
    if (entry !== null) entries.push(entry);
  }
  return entries;
}

function collectLeaves(
  value: unknown,
  path: string,
  leaves: (readonly [string, unknown])[],
  depth: number,
): void {
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isObject || depth >= DEPTH_MAX) {
    leaves.push([path, value]);
    return;
  }
  for (const [name, inner] of Object.entries(value)) {
    collectLeaves(inner, path === '' ? name : `${path}.${name}`, leaves, depth + 1);
  }
}

function textOf(value: unknown): string | null {
  if (typeof value === 'string') return value;
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value)))
    return String(value);
  if (Array.isArray(value) && value.length > 0 && value.every((item) => typeof item === 'string')) {
    return value.join(',');
  }
  return null;
}

/** Reads one value under one name, or says what is wrong with it. `null` where there is nothing to take. */
function readNamed(
  source: OptionAlias['in'],
  name: string,
  where: string,
  text: string | null,
  sink: Sink,
): Entry | null {
  const found = findOption(source, name);
  if (found === null) {
    noteUnknown(source, name.replace(/^-/, ''), where, sink);
    return null;
  }
  const { option, alias } = found;
  const spec = optionSpec(option);
  const given = text ?? (alias?.reading === 'auto-reseed-2015' ? 'true' : null);
  if (given === null) {
    sink.problems.push(withoutValue(where, spec.kind.accepts));
    return null;
  }
  if (source === 'flag' && spec.kind.isSecret?.(given) === true) {
    sink.problems.push(secretInFlag(where));
    return null;
  }
  const parsed = spec.kind.parse(rewrite(given, alias, where, sink));
  if (parsed === null || 'problem' in parsed) {
    sink.problems.push(badValue(option, where, given, parsed?.problem ?? null));
    return null;
  }
  return { option, where, text: given, value: parsed.value, weak: alias?.weak === true };
}

function findOption(
  source: OptionAlias['in'],
  name: string,
): { readonly option: OptionKey; readonly alias: OptionAlias | null } | null {
  const isOldStyle = name.startsWith('-');
  const plain = isOldStyle ? name.slice(1) : name;
  for (const option of OPTION_KEYS) {
    const spec = optionSpec(option);
    const alias =
      spec.aliases.find((candidate) => candidate.in === source && candidate.name === plain) ?? null;
    const own = source === 'environment' ? variableOf(spec.name) : spec.name;
    if (plain === own) return { option, alias: isOldStyle ? alias : null };
    if (alias !== null) return { option, alias };
  }
  return null;
}

const isKnown = (source: OptionAlias['in'], name: string): boolean =>
  findOption(source, name) !== null || IGNORED.some((entry) => entry.in === source && entry.name === name);

function noteUnknown(source: OptionAlias['in'], name: string, where: string, sink: Sink): void {
  const ignored = IGNORED.find((entry) => entry.in === source && entry.name === name);
  if (ignored !== undefined) {
    sink.warnings.push(`${where} has no effect any more: ${ignored.why}`);
    return;
  }
  const near = nearest(name, namesOf(source));
  // A platform may set variables of its own that begin like ours; a slip of the pen must not pass for one.
  if (source === 'environment' && near === null) {
    sink.warnings.push(`${where} is not an option and has no effect`);
    return;
  }
  sink.problems.push({
    code: 'unknown',
    where,
    message: `unknown option ${where}`,
    hint:
      near === null
        ? 'See etcd-mesos scheduler --help.'
        : `Did you mean ${source === 'flag' ? `--${near}` : near}? See etcd-mesos scheduler --help.`,
  });
}

function namesOf(source: OptionAlias['in']): readonly string[] {
  return OPTION_KEYS.map(optionSpec).flatMap((spec) => [
    source === 'environment' ? variableOf(spec.name) : spec.name,
    ...spec.aliases.filter((alias) => alias.in === source).map((alias) => alias.name),
  ]);
}

function rewrite(text: string, alias: OptionAlias | null, where: string, sink: Sink): string {
  switch (alias?.reading) {
    case undefined:
      return text;
    case 'seconds':
      // The image of 2015 sets 60*60*24*7.
      return /^\d{1,6}(\*\d{1,6}){1,5}$/.test(text)
        ? `${text.split('*').reduce((product, factor) => product * Number(factor), 1)}s`
        : text;
    case 'milliseconds':
      return /^\d+$/.test(text) ? `${text}ms` : text;
    case 'verbosity':
      return /^\d+$/.test(text) ? (Number(text) >= 2 ? 'debug' : 'info') : text;
    case 'auto-reseed-2015':
      if (text.trim().toLowerCase() !== 'true') return text;
      sink.warnings.push(
        `${where}=true is taken as "terminal": what it meant in 2015 could lose acknowledged writes. ` +
          'ETCD_MESOS_AUTO_RESEED or --auto-reseed say what is wanted today',
      );
      return 'terminal';
  }
}

function withoutValue(where: string, accepts: string): OptionProblem {
  return {
    code: 'bad-value',
    where,
    message: `${where} has no value; it must be ${accepts}`,
    hint: `Write ${where} <value>.`,
  };
}

/** Anybody on the machine can read a command line. */
function secretInFlag(where: string): OptionProblem {
  return {
    code: 'bad-value',
    where,
    message: `${where} holds a secret itself; it must be the path of a file that does`,
    hint: 'Write it to a file that the scheduler alone can read, and name that.',
  };
}

function badValue(option: OptionKey, where: string, text: string, problem: string | null): OptionProblem {
  const spec = optionSpec(option);
  if (isZooKeeperUrl(text) && text.includes('@')) {
    return {
      code: 'bad-value',
      where,
      message: `${where} is "${text.replace(/\/\/.*@/, '//…@')}": credentials do not belong into an address`,
      hint: 'Write user:password into a file that only the scheduler can read, and name it with --zk-auth-file.',
    };
  }
  return {
    code: 'bad-value',
    where,
    message: `${where} is "${text}"; ${problem === null ? 'it' : `${problem}. It`} must be ${spec.kind.accepts}`,
    hint:
      spec.initial === null
        ? `Correct ${where}, or leave it out: ${spec.otherwise ?? 'it has no default'}.`
        : `Correct ${where}, or leave it out: the default is ${spec.kind.format(spec.initial)}.`,
  };
}

function throwIfAny(problems: readonly OptionProblem[]): void {
  const [first, ...others] = problems;
  if (first !== undefined) throw new OptionsError([first, ...others]);
}

/** The candidate that differs least, where that is little enough to be a slip; `null` else. */
export function nearest(word: string, candidates: readonly string[]): string | null {
  const bare = bareName(word);
  const scored = candidates
    .map((candidate) => ({ candidate, distance: editDistance(bare, bareName(candidate)) }))
    .sort((left, right) => left.distance - right.distance);
  const [best] = scored;
  if (best === undefined) return null;
  return best.distance <= Math.max(1, Math.floor(bareName(best.candidate).length / 4))
    ? best.candidate
    : null;
}

const bareName = (name: string): string =>
  (name.startsWith(ENVIRONMENT_PREFIX) ? name.slice(ENVIRONMENT_PREFIX.length) : name)
    .toLowerCase()
    .replaceAll('_', '-');

/** Letters added, left out, changed or swapped with their neighbour. */
function editDistance(left: string, right: string): number {
  if (Math.abs(left.length - right.length) > 10 || left.length > 100) return 100;
  const rows = [Array.from({ length: right.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= left.length; row += 1) {
    const line = [row];
    for (let column = 1; column <= right.length; column += 1) {
      const same = left[row - 1] === right[column - 1];
      const swapped =
        row > 1 && column > 1 && left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1];
      line[column] = Math.min(
        (rows[row - 1]?.[column] ?? 0) + 1,
        (line[column - 1] ?? 0) + 1,
        (rows[row - 1]?.[column - 1] ?? 0) + (same ? 0 : 1),
        swapped ? (rows[row - 2]?.[column - 2] ?? 0) + 1 : Number.POSITIVE_INFINITY,
      );
    }
    rows.push(line);
  }
  return rows[left.length]?.[right.length] ?? 100;
}

function freezeDeep<T extends object>(value: T): T {
  for (const inner of Object.values(value)) {
    if (typeof inner === 'object' && inner !== null) freezeDeep(inner);
  }
  return Object.freeze(value);
}
