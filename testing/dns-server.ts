// A DNS server with fixed records, for tests of names. It answers questions about A and AAAA over UDP.
import { once } from 'node:events';
import { createSocket } from 'node:dgram';
import { isIPv4 } from 'node:net';
import { multiaddr } from '@multiformats/multiaddr';
import { onCleanup } from './cleanup.ts';

const TYPES = { 1: 'A', 28: 'AAAA' } as const;
type RecordType = (typeof TYPES)[keyof typeof TYPES];

/** The addresses of a name. A type that is `lost` gets no answer; one that is absent has no record. */
export type DnsRecords = Readonly<Partial<Record<RecordType, readonly string[] | 'lost'>>>;

/** Listens on port 53 of the address until the end of the test. Other names do not exist. */
export async function startDnsServer(
  address: string,
  records: Readonly<Record<string, DnsRecords>>,
): Promise<void> {
  const socket = createSocket('udp4');
  socket.on('message', (query, { port, address: client }) => {
    const answer = answerTo(query, records);
    if (answer !== undefined) socket.send(answer, port, client);
  });
  socket.bind(53, address);
  await once(socket, 'listening');
  onCleanup(() => void socket.close());
}

function answerTo(query: Buffer, records: Readonly<Record<string, DnsRecords>>): Buffer | undefined {
  const labels: string[] = [];
  let offset = 12;
  for (let length = query[offset] ?? 0; length > 0; length = query[offset] ?? 0) {
    labels.push(query.toString('latin1', offset + 1, offset + 1 + length));
    offset += 1 + length;
  }
  const question = query.subarray(12, offset + 5);
  const type = TYPES[query.readUInt16BE(offset + 1) as keyof typeof TYPES];
  const found = records[labels.join('.').toLowerCase()];
  const addresses = type === undefined ? [] : (found?.[type] ?? []);
  if (addresses === 'lost') return undefined;
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  // A response that is recursive, with "no such name" for unknown ones.
  header.writeUInt16BE(found === undefined ? 0x81_83 : 0x81_80, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  return Buffer.concat([header, question, ...addresses.map(toRecord)]);
}

/** A record that refers to the name of the question, with a time to live of one second. */
function toRecord(address: string): Buffer {
  const data = isIPv4(address) ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc0_0c, 0);
  head.writeUInt16BE(data.length === 4 ? 1 : 28, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(1, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function ipv6Bytes(address: string): Buffer {
  const components = multiaddr(`/ip6/${address}`).bytes;
  // After the code of the protocol.
  return Buffer.from(components.subarray(1));
}
