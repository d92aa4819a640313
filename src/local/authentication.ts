/** Says who has sent a request by its `Authorization` header; `null` for nobody that is known. */
export type Authenticator = (authorization: string) => string | null;

/** What of a master asks for credentials, each under a name of its own that a refused client is told. */
export type Realm = 'scheduler' | 'readonly' | 'readwrite';

export interface MasterAuthentication {
  readonly authenticate: Authenticator;
  /** Where it is asked for; elsewhere nobody has to say who they are. */
  readonly realms: ReadonlySet<Realm>;
}

/** @param secrets by principal */
export function createBasicAuthenticator(secrets: ReadonlyMap<string, string>): Authenticator {
  return (authorization) => {
    const encoded = /^Basic +(\S+)$/i.exec(authorization)?.[1];
    if (encoded === undefined) return null;
    const decoded = Buffer.from(encoded, 'base64').toString('utf8');
    const colon = decoded.indexOf(':');
    const principal = decoded.slice(0, Math.max(colon, 0));
    return colon > 0 && secrets.get(principal) === decoded.slice(colon + 1) ? principal : null;
  };
}

/**
 * Tokens as DC/OS has them, `token=…`, and as the web has, `Bearer …`.
 * @param verify gives whom a token stands for, `null` where it is not (or no longer) good
 */
export function createTokenAuthenticator(verify: (token: string) => string | null): Authenticator {
  return (authorization) => {
    const token = /^(?:token=|Bearer +)(\S+)$/i.exec(authorization)?.[1];
    return token === undefined ? null : verify(token);
  };
}

/** The first that knows somebody is believed. */
export function anyAuthenticator(authenticators: readonly Authenticator[]): Authenticator {
  return (authorization) => {
    for (const authenticate of authenticators) {
      const principal = authenticate(authorization);
      if (principal !== null) return principal;
    }
    return null;
  };
}

/** Whom a request comes from: `principal` is `null` where nobody has to say; `refused` where they did not. */
export function identify(
  authentication: MasterAuthentication | null,
  realm: Realm | null,
  authorization: string | undefined,
): { readonly principal: string | null } | 'refused' {
  if (authentication === null || realm === null || !authentication.realms.has(realm))
    return { principal: null };
  const principal = authorization === undefined ? null : authentication.authenticate(authorization);
  return principal === null ? 'refused' : { principal };
}
