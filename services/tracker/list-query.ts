// The query of a listing. Requests are validated against this schema, and the OpenAPI document contains it.
import { z } from 'zod';
import { boundedString } from '../shared/contract.ts';
import { type Parsed, parseValue } from './body.ts';
import { canonicalPeerId } from './peerid.ts';
import type { ListQuery } from './registry/registry.ts';

/** Maximum peers on one page. A higher `limit` is refused. */
const MAX_PAGE_PEERS = 1_000;

/** Peers on a page when a cursor is given without a limit. */
const DEFAULT_PAGE_PEERS = 100;

/** Maximum length of a cursor, in characters. The cursors of this API are shorter; longer texts are refused. */
export const MAX_CURSOR_LENGTH = 256;

/** The start of a decoded cursor, which tells it from the cursors of earlier versions. */
const CURSOR_PREFIX = 'id:';

const limit = z
  .string()
  .refine((text) => /^\d{1,4}$/.test(text) && Number(text) >= 1 && Number(text) <= MAX_PAGE_PEERS, {
    message: `is not a whole number from 1 to ${MAX_PAGE_PEERS}`,
  })
  .transform(Number)
  .meta({
    type: 'integer',
    minimum: 1,
    maximum: MAX_PAGE_PEERS,
    description: 'Maximum number of devices on a page.',
  });

const cursor = z
  .string()
  .transform((text, context) => {
    const peerId = decodeCursor(text);
    if (peerId !== undefined) return peerId;
    context.addIssue({ code: 'custom', message: 'is not a cursor of this API; start again without it' });
    return z.NEVER;
  })
  .meta({ type: 'string', description: '`next_cursor` of the previous page.' });

const ownPeerId = boundedString
  .transform((text, context) => {
    const peerId = canonicalPeerId(text.trim());
    if (peerId !== undefined) return peerId;
    context.addIssue({ code: 'custom', message: 'is not a peer id' });
    return z.NEVER;
  })
  .meta({
    type: 'string',
    description:
      'Peer id of the device that asks. Where only the hub of a user is listed (`TRACKER_STAR`), its own record is listed too.',
  });

export const listQuerySchema = z.object({
  peer_id: ownPeerId.optional(),
  user_id: boundedString.optional().meta({ description: 'Returns only the devices of this user.' }),
  limit: limit.optional(),
  cursor: cursor.optional(),
});

/** Reads the query of a listing. */
export function parseListQuery(
  given: Record<string, string>,
): Parsed<{ readonly query: Omit<ListQuery, 'star'>; readonly ownPeerId: string | undefined }> {
  const parsed = parseValue(given, listQuerySchema, 'the query');
  if (!parsed.ok) return parsed;
  const { user_id: userId, limit: pagePeers, cursor: after, peer_id } = parsed.value;
  if (after === undefined) return { ok: true, query: { userId, limit: pagePeers }, ownPeerId: peer_id };
  return { ok: true, query: { userId, limit: pagePeers ?? DEFAULT_PAGE_PEERS, after }, ownPeerId: peer_id };
}

/** The cursor of the page after a peer id. Clients must not depend on its content. */
export function encodeCursor(peerId: string): string {
  return Buffer.from(`${CURSOR_PREFIX}${peerId}`).toString('base64url');
}

/** The peer id in a cursor; `undefined` for other texts, such as the cursors of replicas of an earlier version. */
function decodeCursor(text: string): string | undefined {
  if (text.length > MAX_CURSOR_LENGTH) return undefined;
  const decoded = Buffer.from(text, 'base64url').toString('latin1');
  const peerId = decoded.slice(CURSOR_PREFIX.length);
  return decoded.startsWith(CURSOR_PREFIX) && /^[0-9A-Za-z]+$/.test(peerId) ? peerId : undefined;
}
