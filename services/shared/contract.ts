// The tracker's wire contract. The tracker validates requests with these schemas and the OpenAPI document is generated
// from them. Each response has two schemas: one for what this tracker sends, and one for what a client accepts.
import { z } from 'zod';

/** Maximum addresses of one registration. */
export const MAX_ADDRS = 32;
/** Maximum length of an address, in bytes of UTF-8. */
export const MAX_ADDR_BYTES = 512;
/** Maximum length of a string in `meta`, of a `user_id` and of a textual peer id, in bytes of UTF-8. */
export const MAX_STRING_BYTES = 256;
/** Maximum fields in `meta`, including unknown fields of newer clients. */
export const MAX_META_FIELDS = 32;
/** Maximum size of a request body, in bytes. */
export const MAX_BODY_BYTES = 64 * 1024;

/** Interval between two registrations of a client, in seconds: half of the minimum time to live. */
export const HEARTBEAT_SECONDS = 30;

/** The reason why a text cannot be stored, logged and listed; `undefined` when it can. */
export function stringProblem(value: string): 'too_long' | 'malformed' | undefined {
  if (Buffer.byteLength(value) > MAX_STRING_BYTES) return 'too_long';
  // A lone surrogate cannot be encoded as UTF-8, and some programs treat NUL as the end of a string.
  return value.isWellFormed() && !value.includes('\0') ? undefined : 'malformed';
}

/** Text that can be stored, logged and listed: well-formed, without NUL, at most `MAX_STRING_BYTES`. */
export const boundedString = z
  .string()
  .refine((value) => stringProblem(value) !== 'too_long', `is longer than ${MAX_STRING_BYTES} bytes`)
  .refine((value) => stringProblem(value) !== 'malformed', 'is not well-formed text');

const metaString = boundedString.nullish();
const metaScalar = z.union([boundedString, z.boolean(), z.number(), z.null()]);

/** The known fields of `meta` and their types. */
export const META_FIELD_TYPES = {
  device_id: 'string',
  hostname: 'string',
  user_id: 'string',
  version: 'string',
  build_revision: 'string',
  build_dirty: 'boolean',
} as const;

/**
 * The description of a device. serde writes `null` for an empty `Option`, so each field may be absent or `null`.
 * Unknown scalar fields of newer clients are kept and returned.
 */
export const metaSchema = z
  .object({
    device_id: metaString,
    hostname: metaString,
    user_id: metaString,
    version: metaString,
    build_revision: metaString,
    build_dirty: z.boolean().nullish(),
  } satisfies Record<keyof typeof META_FIELD_TYPES, z.ZodType>)
  .catchall(metaScalar)
  .meta({ id: 'Meta' });

/**
 * A registration. Only `peer_id`, the type of `meta` and its `user_id` must be valid. The tracker drops addresses and
 * other fields of `meta` that it cannot store, and ignores unknown fields, such as the `device_proof` of `rr`.
 */
export const registerRequestSchema = z
  .object({
    peer_id: boundedString,
    addrs: z
      .unknown()
      .optional()
      .meta({
        type: 'array',
        items: { type: 'string' },
        description:
          `Multiaddrs of the device; may be empty. At most ${MAX_ADDRS} are kept: circuits first, then public, ` +
          'private IPv4 and other addresses. Invalid addresses, those of other peers, and those longer than ' +
          `${MAX_ADDR_BYTES} bytes are dropped.`,
      }),
    meta: z
      .looseObject({ user_id: metaString })
      .nullish()
      .meta({
        description:
          `Description of the device. At most ${MAX_META_FIELDS} fields with texts of at most ${MAX_STRING_BYTES} bytes, ` +
          'numbers and booleans are kept; other fields are dropped. A `user_id` that is not such a text is refused.',
      }),
  })
  .meta({ id: 'RegisterRequest' });

export const unregisterRequestSchema = z.object({ peer_id: boundedString }).meta({ id: 'UnregisterRequest' });

// The responses that this tracker sends. The OpenAPI document describes them.

export const registerResponseSchema = z
  .object({ ok: z.literal(true), ttl_sec: z.int().positive() })
  .meta({ id: 'RegisterAnswer' });

export const unregisterResponseSchema = z
  .object({ ok: z.literal(true), removed: z.boolean() })
  .meta({ id: 'UnregisterAnswer' });

/** One registered device. `rr` rejects a whole list in which `last_seen_unix` is missing or not an integer. */
export const peerSchema = z
  .object({
    peer_id: z.string(),
    addrs: z.array(z.string()),
    meta: metaSchema.nullable(),
    last_seen: z.string(),
    last_seen_unix: z.int(),
  })
  .meta({ id: 'Peer' });

/** `next_cursor` is present only when pages were requested; it is `null` on the last page. */
export const listResponseSchema = z
  .object({ peers: z.array(peerSchema), next_cursor: z.string().nullish() })
  .meta({ id: 'PeerList' });

/** An error in the format of RFC 9457, with a stable `code`. Texts may change. */
export const problemSchema = z
  .object({
    type: z.string(),
    title: z.string(),
    status: z.int(),
    code: z.string(),
    detail: z.string().optional(),
  })
  .meta({ id: 'Problem' });

// The responses that a client accepts: only the fields that it uses, because the tracker may be another implementation,
// such as that of `rr`, or a newer version. Unknown fields are ignored.

/** The response to a registration or an unregistration. A `ttl_sec` that is not a number counts as absent. */
export const acceptedAckSchema = z.object({
  ok: z.literal(true),
  ttl_sec: z.number().optional().catch(undefined),
});

/** One entry of a list. The entries are validated one by one, so that an invalid entry does not affect others. */
export const acceptedPeerSchema = z.object({
  peer_id: z.string(),
  addrs: z.array(z.string()),
  meta: z
    .object({
      user_id: z.string().nullish(),
      device_id: z.string().nullish(),
      hostname: z.string().nullish(),
      role: z.unknown().optional(),
    })
    .nullish(),
  last_seen_unix: z.int(),
});

/** The fields of an RFC 9457 problem that error messages contain. */
export const acceptedProblemSchema = z.object({ title: z.string(), detail: z.string().optional() });

export type Meta = z.infer<typeof metaSchema>;
export type RegisterRequest = z.infer<typeof registerRequestSchema>;
export type Peer = z.infer<typeof peerSchema>;
export type Problem = z.infer<typeof problemSchema>;
