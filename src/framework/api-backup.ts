import * as z from 'zod';
import { revisionOf } from '../backup/full.ts';
import { CodedError, describeError } from '../base/errors.ts';
import type { BackupAnswer } from '../protocol/backup-answer.ts';
import type { PublishedArchive, PublishedView } from '../protocol/view.ts';
import { type ApiContext, type ApiRoute, json, problem } from './api-access.ts';
import { operatorOf } from './api-commands.ts';
import { change, status, withView } from './api-routes.ts';
import type { FullRequests } from './full-requests.ts';

export interface BackupSource {
  readonly view: () => PublishedView | null;
  readonly fulls: FullRequests;
}

/** What may be said of a full that is asked for: it is kept with it. */
const bodySchema = z.strictObject({ reason: z.string().trim().min(1).max(200).optional() });

const NONE = 'no archive is configured';
const NONE_HINT = 'Start the scheduler with --archive.';

/** The archive: what it is like, and a full backup on an operator's word. */
export function backupRoutes({ view, fulls }: BackupSource): readonly ApiRoute[] {
  return [
    status(
      '/v1/backup',
      'the archive: how far it reaches, its newest full, proof and verification, and what is in the way',
      withView(view, (context, { archive }) =>
        archive === null ? problem(context, 404, NONE, NONE_HINT) : json(context, archive),
      ),
    ),
    change(
      '/v1/backup',
      'take a full backup now and read it back; the body may say why: {"reason": …}',
      withView(view, async (context, { archive }) => {
        const reason = await reasonOf(context);
        if (reason instanceof Response) return reason;
        const objection = objectionTo(archive);
        if (objection !== null) return problem(context, 409, objection.message, objection.hint);
        const id = fulls.ask(reason);
        if (id === null) {
          return problem(
            context,
            409,
            'several fulls are waited for already',
            'Ask again when they are taken.',
          );
        }
        return await answer(context, fulls, id);
      }),
    ),
    status('/v1/backup/requests/:id', 'what became of a full that was asked for', async (context) =>
      answer(context, fulls, context.req.param('id') ?? ''),
    ),
  ];
}

async function reasonOf(context: ApiContext): Promise<string | Response> {
  const text = await context.req.text();
  const body = bodySchema.safeParse(text.trim() === '' ? {} : parsed(text));
  if (!body.success) {
    const hint = 'Send {"reason": "…"} with 1 to 200 characters, or nothing.';
    return problem(
      context,
      400,
      `no reason can be read from the body ${JSON.stringify(text.slice(0, 80))}`,
      hint,
    );
  }
  const by = `asked for by ${operatorOf(context)}`;
  return body.data.reason === undefined ? by : `${body.data.reason} (${by})`;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function objectionTo(
  archive: PublishedArchive | null,
): { readonly message: string; readonly hint: string } | null {
  if (archive === null) return { message: NONE, hint: NONE_HINT };
  const why = archive.problem === null ? '' : `: ${archive.problem}`;
  switch (archive.state) {
    case 'following':
    case 'no-member':
      return null;
    case 'refused':
      return { message: `the archive ${archive.place} is not written${why}`, hint: 'See to it first.' };
    case 'away':
      return {
        message: `the archive ${archive.place} takes nothing${why}`,
        hint: 'Ask again when it is back.',
      };
    case 'waiting':
    case 'starting':
      return {
        message: `the archive ${archive.place} is not open yet${why}`,
        hint: 'Ask again in a moment.',
      };
  }
}

async function answer(context: ApiContext, fulls: FullRequests, id: string): Promise<Response> {
  const outcome = await fulls.outcome(id);
  if (outcome === null) {
    const hint = 'The scheduler may have been restarted since; GET /v1/backup has the newest full.';
    return problem(context, 404, `no full was asked for as ${id}`, hint);
  }
  switch (outcome.kind) {
    case 'under-way': {
      const message = 'the full backup is being taken';
      return json(context, { outcome: 'under-way', id, message } satisfies BackupAnswer, 202);
    }
    case 'failed': {
      const { error } = outcome;
      const hint = error instanceof CodedError ? error.hint : undefined;
      const message = `no full backup was taken: ${describeError(error)}`;
      return problem(context, 503, message, hint ?? 'GET /v1/backup shows the archive. Ask again.');
    }
    case 'taken': {
      const { name, document } = outcome.full;
      const { sizeBytes, startedAtMs } = document;
      const revision = String(revisionOf(outcome.full));
      return json(context, {
        outcome: 'taken',
        name,
        revision,
        sizeBytes,
        startedAtMs,
      } satisfies BackupAnswer);
    }
  }
}
