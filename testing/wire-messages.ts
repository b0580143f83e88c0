// The messages of pushes and pulls as clients of `rr` send and read them, written without the code of the peer.
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import type { WireDeletion, WireEntry } from './wire-entries.ts';

export const PUSH = { zstd: '/rustory/entries-push/1.0.1', json: '/rustory/entries-push/1.0.0' } as const;
export const PULL = { zstd: '/rustory/sync-pull/1.0.1', json: '/rustory/sync-pull/1.0.0' } as const;
export type Encoding = keyof typeof PUSH;

export interface PushAnswer {
  readonly ok: boolean;
  readonly inserted?: number | null;
  readonly ignored?: number | null;
  readonly deletion_inserted?: number | null;
  readonly deletion_ignored?: number | null;
  readonly deletion_deleted?: number | null;
}

export interface PushRequest {
  readonly entries?: readonly WireEntry[];
  readonly deletions?: readonly WireDeletion[];
}

export interface PullRequest {
  readonly cursor: number;
  readonly limit: number;
  /** Absent in requests of `rr` 0.1. */
  readonly delete_cursor?: number;
}

export interface PullAnswer {
  readonly entries: readonly WireEntry[];
  readonly next_cursor: number | null;
  readonly deletions?: readonly WireDeletion[];
  readonly next_delete_cursor?: number | null;
}

export function encode(message: unknown, encoding: Encoding): Uint8Array {
  const json = Buffer.from(JSON.stringify(message));
  return encoding === 'zstd' ? zstdCompressSync(json) : json;
}

export function decode(bytes: Uint8Array, encoding: Encoding): unknown {
  if (bytes.length === 0) throw new Error('The other device closed the stream without an answer.');
  const json = encoding === 'zstd' ? zstdDecompressSync(bytes) : Buffer.from(bytes);
  return JSON.parse(json.toString());
}
