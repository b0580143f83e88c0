// multistream-select. https://github.com/multiformats/multistream-select
import { PipeReader, type Pipe, withLength } from './pipe.ts';

const HEADER = '/multistream/1.0.0';
const NOT_AVAILABLE = line('na');

/** Maximum protocols that the other side may propose. */
const MAX_PROPOSALS = 16;

function line(text: string): Buffer {
  return withLength(Buffer.from(`${text}\n`));
}

async function readLine(reader: PipeReader): Promise<string> {
  return (await reader.readMessage()).toString('latin1').trimEnd();
}

async function expect(reader: PipeReader, text: string): Promise<void> {
  const answer = await readLine(reader);
  if (answer !== text) throw new Error(`The other side answered "${answer}" to the protocol ${text}.`);
}

/** Header and protocol in one message, for protocols whose dialer writes at once. */
const proposals = new Map<string, Buffer>();

/** Proposes one protocol. @throws Error when it is not accepted */
export async function propose(reader: PipeReader, protocol: string): Promise<void> {
  const message = proposals.get(protocol) ?? Buffer.concat([line(HEADER), line(protocol)]);
  proposals.set(protocol, message);
  reader.pipe.write(message);
  await expect(reader, HEADER);
  await expect(reader, protocol);
}

/** Accepts the first of these protocols that the other side proposes. */
export async function accept(reader: PipeReader, protocols: (name: string) => boolean): Promise<string> {
  await expect(reader, HEADER);
  reader.pipe.write(line(HEADER));
  for (let proposal = 0; proposal < MAX_PROPOSALS; proposal += 1) {
    const protocol = await readLine(reader);
    if (protocols(protocol)) {
      reader.pipe.write(line(protocol));
      return protocol;
    }
    reader.pipe.write(NOT_AVAILABLE);
  }
  throw new Error('The other side proposed too many protocols.');
}

/** Opens the stream of a protocol. */
export async function select(stream: Pipe, protocol: string): Promise<PipeReader> {
  const reader = new PipeReader(stream);
  await propose(reader, protocol);
  return reader;
}
