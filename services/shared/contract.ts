// The tracker's wire contract: what `rr` clients send and parse. The tracker validates against these schemas,
// the peer parses answers with them, and the OpenAPI document is made from them.
import { z } from 'zod';

/** Most addresses one registration may carry. */
export const MAX_ADDRS = 32;
/** Longest address, in bytes of UTF-8. */
export const MAX_ADDR_BYTES = 512;
/** Longest string in `meta`, in bytes of UTF-8; also the longest `user_id` and textual peer id. */
export const MAX_STRING_BYTES = 256;
/** Most fields in `meta`, those of newer clients included. */
export const MAX_META_FIELDS = 32;
/** Largest request body, in bytes. */
export const MAX_BODY_BYTES = 64 * 1024;

/** How often a client registers again, in seconds; half the shortest time to live that keeps it listed. */
export const HEARTBEAT_SECONDS = 30;

/** Text that can be stored, logged and listed: well-formed, without NUL, at most `MAX_STRING_BYTES`. */
export const boundedString = z
  .string()
  .refine((value) => Buffer.byteLength(value) <= MAX_STRING_BYTES, `is longer than ${MAX_STRING_BYTES} bytes`)
  // A lone surrogate cannot be stored as UTF-8, and NUL ends strings for some readers.
  .refine((value) => value.isWellFormed() && !value.includes('\0'), 'is not well-formed text');

const metaString = boundedString.nullish();
const metaScalar = z.union([boundedString, z.boolean(), z.number(), z.null()]);

/**
 * What a device tells of itself. serde writes `null` for an empty `Option`, so each field may be absent or
 * `null`; scalars that only newer clients know are kept and returned.
 */
export const metaSchema = z
  .object({
    device_id: metaString,
    hostname: metaString,
    user_id: metaString,
    version: metaString,
    build_revision: metaString,
    build_dirty: z.boolean().nullish(),
  })
  .catchall(metaScalar)
  .refine((meta) => Object.keys(meta).length <= MAX_META_FIELDS, `has more than ${MAX_META_FIELDS} fields`)
  .refine(
    (meta) => Object.keys(meta).every((key) => boundedString.safeParse(key).success),
    `has a field name longer than ${MAX_STRING_BYTES} bytes`,
  )
  .meta({ id: 'Meta' });

export const registerRequestSchema = z
  .object({
    peer_id: boundedString,
    addrs: z.array(z.string()),
    meta: metaSchema.nullish(),
  })
  .meta({ id: 'RegisterRequest' });

export const registerAnswerSchema = z
  .object({ ok: z.literal(true), ttl_sec: z.int().positive() })
  .meta({ id: 'RegisterAnswer' });

export const unregisterRequestSchema = z.object({ peer_id: boundedString }).meta({ id: 'UnregisterRequest' });

export const unregisterAnswerSchema = z
  .object({ ok: z.literal(true), removed: z.boolean() })
  .meta({ id: 'UnregisterAnswer' });

/** One registered device, as listed. Clients refuse a whole list in which `last_seen_unix` is missing or no integer. */
export const peerSchema = z
  .object({
    peer_id: z.string(),
    addrs: z.array(z.string()),
    meta: metaSchema.nullable(),
    last_seen: z.string(),
    last_seen_unix: z.int(),
  })
  .meta({ id: 'Peer' });

/** `next_cursor` is there only when pages were asked for; `null` on the last. */
export const listAnswerSchema = z
  .object({ peers: z.array(peerSchema), next_cursor: z.string().nullish() })
  .meta({ id: 'PeerList' });

/** An error as RFC 9457 describes it, with a `code` that stays the same while texts may change. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string().optional(),
  })
  .meta({ id: 'Problem' });

export type Meta = z.infer<typeof metaSchema>;
export type RegisterRequest = z.infer<typeof registerRequestSchema>;
export type Peer = z.infer<typeof peerSchema>;
export type Problem = z.infer<typeof problemSchema>;
