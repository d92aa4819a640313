/** The answer to an operator's call: JSON, an empty 200, or a refusal. */
export type OperatorAnswer =
  | { readonly kind: 'json'; readonly body: unknown }
  | { readonly kind: 'done' }
  | { readonly kind: 'refused'; readonly status: 400 | 403 | 404 | 409; readonly message: string }
  | { readonly kind: 'unsupported'; readonly what: string };

export const DONE: OperatorAnswer = { kind: 'done' };
export const FORBIDDEN: OperatorAnswer = { kind: 'refused', status: 403, message: '403 Forbidden.' };

/** `GET_TASKS` names its answer `get_tasks`. */
export function json(type: string, body: unknown): OperatorAnswer {
  return { kind: 'json', body: { type, [type.toLowerCase()]: body } };
}

export function refuse(status: 400 | 404 | 409, message: string): OperatorAnswer {
  return { kind: 'refused', status, message };
}

/** The call lacks what it is about, or that is not what it must be. */
export function malformed(problem: string): OperatorAnswer {
  return refuse(400, `Failed to validate master::Call: ${problem}`);
}
