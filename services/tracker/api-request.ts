// What a call of the API reads and answers, without Hono and without Node, so that both ways in share every decision:
// requests that came through Hono (`app.ts`), and those that are answered directly (`hot-calls.ts`).
import type { Client } from './proxies.ts';
import type { Grant } from './tokens.ts';

export interface ApiRequest {
  readonly method: string;
  /** The path below the prefix, without doubled and trailing slashes. */
  readonly path: string;
  /** The URL with the host of the `Host` header. Created when it is read. */
  readonly url: string;
  readonly client: Client;
  /** @param name in lower case */
  header(name: string): string | undefined;
  /** The permissions of its token, once it was admitted. */
  grant: Grant | undefined;
  /** The device that the request is about, once the body was read. */
  device: { readonly peerId: string; readonly userId?: string | null } | undefined;
}

/** The response to a request. */
export interface Answer {
  readonly status: number;
  /** Without `Content-Length`, which follows from the body. */
  readonly headers: Readonly<Record<string, string>>;
  /** A buffer may be shared with other answers, and must not change. `null`: the status has no body. */
  readonly body: string | Buffer<ArrayBuffer> | null;
}
