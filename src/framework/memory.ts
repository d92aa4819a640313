/** Launches, and other things, of which the newest are remembered. */
const REMEMBERED_MAX = 512;

/** Remembers the newest; the oldest is forgotten when there are too many. */
export function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  for (const oldest of map.keys()) {
    if (map.size <= REMEMBERED_MAX) return;
    map.delete(oldest);
  }
}
