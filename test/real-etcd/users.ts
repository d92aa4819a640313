/*
 * etcd's own users, set up over its HTTP gateway, which every version has.
 */

const ROOT = { name: 'root', password: 'a-password' };

/** `etcdctl auth enable`, with a user who may do everything. */
export async function turnAuthenticationOn(url: string): Promise<void> {
  await post(url, 'user/add', ROOT);
  await post(url, 'user/grant', { user: ROOT.name, role: 'root' });
  await post(url, 'enable', {});
}

/** `etcdctl auth disable`, as that user. */
export async function turnAuthenticationOff(url: string): Promise<void> {
  const { token } = (await post(url, 'authenticate', ROOT)) as { readonly token: string };
  await post(url, 'disable', {}, token);
}

async function post(url: string, path: string, body: object, token?: string): Promise<unknown> {
  const response = await fetch(`${url}/v3/auth/${path}`, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: token === undefined ? {} : { authorization: token },
    signal: AbortSignal.timeout(5_000),
  });
  const answer = await response.text();
  if (!response.ok) throw new Error(`${path}: ${response.status} ${answer}`);
  return JSON.parse(answer);
}
