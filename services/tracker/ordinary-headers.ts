// The headers of an ordinary request, taken from the list of Node. Its object with all headers, and a look at each name of
// it, cost as much as the rest of a request that is answered from memory.
import type { IncomingMessage } from 'node:http';

/**
 * Headers of clients and of proxies that the direct way in understands. A request with another one, or with one in an unusual
 * spelling, is examined more closely.
 */
const NAMES = [
  'host',
  'authorization',
  'x-rustory-token',
  'content-type',
  'content-length',
  'if-none-match',
  'accept',
  'accept-encoding',
  'accept-language',
  'connection',
  'user-agent',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-port',
  'x-forwarded-proto',
  'x-real-ip',
  'via',
  'forwarded',
] as const;

/** The place of each name, in the two usual spellings. */
const PLACES = new Map<string, number>(
  NAMES.flatMap((name, place) => [
    [name, place],
    [name.replaceAll(/\b[a-z]/g, (letter) => letter.toUpperCase()), place],
  ]),
);

/** The values by the place of their name. */
export type OrdinaryHeaders = readonly (string | undefined)[];

/** The headers of a request; `undefined` when one of them is not ordinary, or there twice. */
export function ordinaryHeaders({ rawHeaders }: IncomingMessage): OrdinaryHeaders | undefined {
  const values: (string | undefined)[] = Array.from({ length: NAMES.length });
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const place = PLACES.get(rawHeaders[index] as string);
    if (place === undefined || values[place] !== undefined) return undefined;
    values[place] = rawHeaders[index + 1];
  }
  return values;
}

/** @param name in lower case */
export function ordinaryHeader(headers: OrdinaryHeaders, name: string): string | undefined {
  const place = PLACES.get(name);
  return place === undefined ? undefined : headers[place];
}
