/** What was read of a body, as text in UTF-8. */
export interface BodyText {
  readonly text: string;
  /** The body ended within the limit. */
  readonly isWhole: boolean;
}

/** Reads at most `bytesMax` bytes; what comes after them is left unread. Rejects as the body does. */
export async function readBody(body: AsyncIterable<Uint8Array>, bytesMax: number): Promise<BodyText> {
  const decoder = new TextDecoder();
  let text = '';
  let sizeBytes = 0;
  for await (const chunk of body) {
    const taken = chunk.subarray(0, bytesMax - sizeBytes);
    text += decoder.decode(taken, { stream: true });
    sizeBytes += taken.length;
    if (taken.length < chunk.length) return { text: text + decoder.decode(), isWhole: false };
  }
  return { text: text + decoder.decode(), isWhole: true };
}

/** `undefined`, which no schema takes, where it is not JSON. */
export function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
