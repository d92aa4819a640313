import { DURATION_MS_MAX, formatDuration, parseDurationMs } from '../base/duration.ts';
import { formatZooKeeperUrl, isZooKeeperUrl, parseZooKeeperUrl } from '../base/zookeeper-url.ts';
import {
  formatPlacement,
  PLACEMENT_OPERATORS,
  type PlacementConstraint,
  parsePlacement,
} from './placement-constraint.ts';

/** How the text of an option becomes a value; one for each kind of value. */
export interface OptionKind<T> {
  /** For the reference: `duration`, `integer` … */
  readonly name: string;
  /** What is accepted, in words that follow "must be". */
  readonly accepts: string;
  parse(text: string): ParsedValue<T>;
  /** The text of a value in a file that is neither text nor number; without it lists of texts are joined by commas. */
  fromJson?(value: unknown): string | null;
  /** Whether the text is itself what must not be shown or given on a command line. Default: never. */
  isSecret?(text: string): boolean;
  /** A spelling that {@link parse} reads back. */
  format(value: T): string;
}
/** `null` where the text is not acceptable; `problem` where more can be said of it than what would be. */
export type ParsedValue<T> = { readonly value: T } | { readonly problem: string } | null;

export function textKind(pattern: RegExp, accepts: string): OptionKind<string> {
  return {
    name: 'text',
    accepts,
    parse: (text) => (pattern.test(text) ? { value: text } : null),
    format: (value) => value,
  };
}

export const pathKind: OptionKind<string> = {
  name: 'path',
  accepts: 'a path, absolute or relative to the working directory',
  parse: (text) => (text.trim() === '' || text.includes('\0') ? null : { value: text }),
  format: (value) => value,
};

/** A path, or what would be found there: JSON. */
export const credentialKind: OptionKind<string> = {
  name: 'path',
  accepts: pathKind.accepts,
  parse: (text) => pathKind.parse(text),
  isSecret: (text) => text.trimStart().startsWith('{'),
  format: (value) => value,
};

export function choiceKind<const T extends string>(choices: readonly T[]): OptionKind<T> {
  return {
    name: 'choice',
    accepts: `one of ${choices.join(', ')}`,
    parse: (text) => {
      const found = choices.find((choice) => choice === text.trim().toLowerCase());
      return found === undefined ? null : { value: found };
    },
    format: (value) => value,
  };
}

export function integerKind(min: number, max: number): OptionKind<number> {
  return {
    name: 'integer',
    accepts: `a whole number from ${min} to ${max}`,
    parse: (text) => inRange(/^\d{1,15}$/.test(text.trim()) ? Number(text) : null, min, max),
    format: String,
  };
}

export function oneOfNumbersKind(numbers: readonly number[]): OptionKind<number> {
  return {
    name: 'integer',
    accepts: `one of ${numbers.join(', ')}`,
    parse: (text) => {
      const found = numbers.find((number) => String(number) === text.trim());
      return found === undefined ? null : { value: found };
    },
    format: String,
  };
}

export function decimalKind(min: number, max: number): OptionKind<number> {
  return {
    name: 'number',
    accepts: `a number from ${min} to ${max}`,
    parse: (text) => inRange(/^\d{1,9}(\.\d{1,6})?$/.test(text.trim()) ? Number(text) : null, min, max),
    format: String,
  };
}

/** @param bare what a number without a unit counts: etcd's own options count milliseconds, all others seconds. */
export function durationKind(
  minMs: number,
  maxMs = DURATION_MS_MAX,
  bare: 's' | 'ms' = 's',
): OptionKind<number> {
  const range = `from ${formatDuration(minMs)} to ${formatDuration(maxMs)}`;
  const unit = bare === 's' ? 'seconds' : 'milliseconds';
  return {
    name: 'duration',
    accepts: `a duration ${range}, as 1500ms, 90s, 20m, 4w; a number alone counts ${unit}`,
    parse: (text) => {
      const isBare = /^\d+(\.\d+)?$/.test(text.trim());
      return inRange(parseDurationMs(isBare && bare === 'ms' ? `${text.trim()}ms` : text), minMs, maxMs);
    },
    format: formatDuration,
  };
}

/** Masters that an option names. */
const MASTERS_MAX = 9;
/** The port that Mesos masters listen on where nothing else is said. */
const MASTER_PORT = 5050;
const SIZE_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'] as const;

/**
 * A size, kept as a whole number of `unit`. As in Mesos all units are powers of 1024, so `MB` means `MiB`.
 * A number alone counts `unit`.
 */
export function sizeKind(unit: 'B' | 'MiB', min: number, max: number): OptionKind<number> {
  const unitBytes = 1024 ** SIZE_UNITS.indexOf(unit);
  const range = `from ${formatSize(min * unitBytes)} to ${formatSize(max * unitBytes)}`;
  return {
    name: 'size',
    accepts: `a size ${range}, as 512MiB or 8GiB; a number alone counts ${unit === 'B' ? 'bytes' : unit}`,
    parse: (text) => {
      const match = /^(\d{1,15}(?:\.\d{1,3})?)\s*(?:([kmgt]?)i?b?)$/i.exec(text.trim());
      if (match === null) return null;
      const hasUnit = /[a-z]$/i.test(text.trim());
      const power = ['', 'k', 'm', 'g', 't'].indexOf((match[2] ?? '').toLowerCase());
      const size = hasUnit ? (Number(match[1]) * 1024 ** power) / unitBytes : Number(match[1]);
      return Number.isInteger(size) ? inRange(size, min, max) : null;
    },
    format: (value) => formatSize(value * unitBytes),
  };
}

/** The largest unit of 1024 in which the size is whole: `2GiB`, `1536MiB`, `100B`. */
export function formatSize(sizeBytes: number): string {
  let power = 0;
  let size = sizeBytes;
  while (size !== 0 && size % 1024 === 0 && power < SIZE_UNITS.length - 1) {
    size /= 1024;
    power += 1;
  }
  return `${size}${SIZE_UNITS[power] ?? 'B'}`;
}

export function urlKind(schemes: readonly string[]): OptionKind<string> {
  return {
    name: 'URL',
    accepts: `a URL with the scheme ${schemes.join(' or ')}`,
    parse: (text) => {
      const url = URL.parse(text.trim());
      return url !== null && schemes.includes(url.protocol.slice(0, -1)) ? { value: text.trim() } : null;
    },
    format: (value) => value,
  };
}

/** A ZooKeeper ensemble and a path in it. */
export const zooKeeperKind: OptionKind<string> = {
  name: 'zk:// address',
  accepts:
    'a ZooKeeper ensemble with a path, as zk://10.0.0.1:2181,10.0.0.2:2181/etcd-mesos, without credentials',
  parse: (text) => {
    const url = parseZooKeeperUrl(text);
    return url === null ? null : { value: formatZooKeeperUrl(url) };
  },
  format: (value) => value,
};

/**
 * Masters that are asked in turn, or the one address of where they stand for election in ZooKeeper. Without a scheme
 * it is http, and then the port is Mesos' own, 5050.
 */
export const mastersKind: OptionKind<readonly string[]> = {
  name: 'URLs',
  accepts:
    `one or more masters, as 10.0.0.1:5050, http://10.0.0.1:5050 or https://example/mesos, ` +
    `separated by commas (at most ${MASTERS_MAX}), or where they are found in ZooKeeper, as ` +
    `zk://10.0.0.1:2181,10.0.0.2:2181/mesos`,
  parse: (text) => {
    if (isZooKeeperUrl(text)) {
      const url = parseZooKeeperUrl(text);
      // A comma in the path is a list of masters that began with a ZooKeeper.
      const isUsable = url !== null && url.path !== '/' && !url.path.includes(',');
      return isUsable ? { value: [formatZooKeeperUrl(url)] } : null;
    }
    const masters = text.split(',').map((part) => masterUrl(part.trim()));
    if (masters.length > MASTERS_MAX) return null;
    const known = masters.filter((master) => master !== null);
    return known.length === masters.length ? { value: [...new Set(known)] } : null;
  },
  format: (value) => value.join(','),
};

function masterUrl(text: string): string | null {
  const hasScheme = /^[a-z][a-z0-9+.-]*:\/\//i.test(text);
  const url = /\s/.test(text) ? null : URL.parse(hasScheme ? text : `http://${text}`);
  if (url === null || url.hostname === '' || url.port === '0') return null;
  if (!['http:', 'https:'].includes(url.protocol)) return null;
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') return null;
  const path = url.pathname.replace(/\/+$/, '');
  if (hasScheme) return `${url.protocol}//${url.host}${path}`;
  if (path !== '') return null;
  // URL drops port 80, so it is looked for in the text.
  const port = /:(\d+)\/?$/.exec(text)?.[1] ?? String(MASTER_PORT);
  return new URL(`http://${url.hostname}:${port}`).origin;
}

/** Placement constraints in any of the spellings of {@link parsePlacement}. */
export const placementKind: OptionKind<readonly PlacementConstraint[]> = {
  name: 'constraints',
  accepts:
    'placement constraints as Marathon has them, such as [["@zone","GROUP_BY","3"],["rack","LIKE","r[12]"]] or ' +
    `hostname:MAX_PER:2,@zone:GROUP_BY; the operators are ${PLACEMENT_OPERATORS.join(', ')}`,
  parse: parsePlacement,
  fromJson: (value) => (Array.isArray(value) ? JSON.stringify(value) : null),
  format: formatPlacement,
};

function inRange(value: number | null, min: number, max: number): ParsedValue<number> {
  return value === null || value < min || value > max ? null : { value };
}
