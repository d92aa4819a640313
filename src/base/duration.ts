const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** The largest duration that is accepted anywhere, one year: more is a typing error. */
export const DURATION_MS_MAX = 366 * 86_400_000;

/**
 * Reads `1500ms`, `240s`, `20m`, `1h30m`, `4w`. A bare number means seconds, as in the 2015 options.
 * @returns milliseconds, an integer of 0 … {@link DURATION_MS_MAX}; `null` where the text is no duration.
 */
export function parseDurationMs(text: string): number | null {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return bounded(Number(trimmed) * 1000);
  const parts = [...trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|min|s|m|h|d|w)/g)];
  if (parts.length === 0 || parts.map((part) => part[0]).join('') !== trimmed) return null;
  return bounded(
    parts.reduce((sum, part) => sum + Number(part[1]) * (UNIT_MS[part[2] ?? ''] ?? Number.NaN), 0),
  );
}

const ROUND_MS = [604_800_000, 86_400_000, 3_600_000, 60_000, 1000] as const;

/** For people: the two largest units, rounded down, as `3d4h` or `2m5s`; below a second milliseconds. */
export function formatAge(durationMs: number): string {
  if (durationMs < 1000) return formatDuration(Math.max(0, Math.round(durationMs)));
  const largest = ROUND_MS.findIndex((unitMs) => durationMs >= unitMs);
  const leastMs = ROUND_MS[largest + 1] ?? 1000;
  return formatDuration(Math.floor(durationMs / leastMs) * leastMs);
}

/** The shortest exact spelling that {@link parseDurationMs} reads back: `20m`, `1h30m`, `1500ms`, `0s`. */
export function formatDuration(durationMs: number): string {
  if (durationMs === 0) return '0s';
  if (durationMs % 1000 !== 0) return `${Math.round(durationMs)}ms`;
  let rest = durationMs;
  let text = '';
  for (const unit of ['w', 'd', 'h', 'm', 's'] as const) {
    const size = UNIT_MS[unit] ?? 1;
    const count = Math.floor(rest / size);
    if (count > 0) text += `${count}${unit}`;
    rest -= count * size;
  }
  return text;
}

function bounded(durationMs: number): number | null {
  const rounded = Math.round(durationMs);
  return Number.isFinite(rounded) && rounded <= DURATION_MS_MAX ? rounded : null;
}
