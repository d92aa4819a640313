/** Headers that authenticate us to a master, asked for before every request. */
export interface MasterHeaders {
  (): Promise<Readonly<Record<string, string>>>;
  /**
   * Told that a master answered 401 to a request with these headers; `true` where the next call gives others. What
   * never changes need not have it.
   */
  readonly renew?: (refused: Readonly<Record<string, string>>) => boolean;
}

/** HTTP Basic authentication, as Mesos itself offers it. */
export function basicHeaders(principal: string, secret: string): MasterHeaders {
  const credentials = Buffer.from(`${principal}:${secret}`, 'utf8').toString('base64');
  return () => Promise.resolve({ authorization: `Basic ${credentials}` });
}
