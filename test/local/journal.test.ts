import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createJournalReader, createJournalWriter } from '../../src/local/journal.ts';
import { createJsonLineReader, toJsonLine } from '../../src/local/json-lines.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'etcd-mesos-journal-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('a reader takes whole lines only, each once', () => {
  const path = join(directory, 'journal');
  const reader = createJournalReader(path);
  expect(reader.read()).toEqual([]);
  const writer = createJournalWriter(path);
  writer.append({ event: { kind: 'starting', executorPid: 7 } });
  appendFileSync(path, '{"event":{"kind":"health",');
  expect(reader.read()).toEqual([{ event: { kind: 'starting', executorPid: 7 } }]);
  appendFileSync(path, '"healthy":true}}\n');
  expect(reader.read()).toEqual([{ event: { kind: 'health', healthy: true } }]);
  expect(reader.read()).toEqual([]);
  expect(createJournalReader(path).read()).toHaveLength(2);
});

test('values arrive whole however the stream is cut', () => {
  const values = [{ text: 'zwölf\n' }, [1, 2], 'ü'];
  const bytes = Buffer.from(values.map(toJsonLine).join(''));
  for (let size = 1; size <= bytes.length; size += 1) {
    const seen: unknown[] = [];
    const read = createJsonLineReader((value) => seen.push(value));
    for (let start = 0; start < bytes.length; start += size) read(bytes.subarray(start, start + size));
    expect(seen).toEqual(values);
  }
});

test('what is no stream of JSON lines is refused', () => {
  const read = createJsonLineReader(() => undefined);
  expect(() => read(Buffer.from('GET / HTTP/1.1\n'))).toThrow(SyntaxError);
  const endless = createJsonLineReader(() => undefined);
  const chunk = Buffer.alloc(9 * 1024 * 1024, 0x20);
  endless(chunk);
  expect(() => endless(chunk)).toThrow(RangeError);
});
