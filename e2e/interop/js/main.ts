// A program of the interop matrix: the stock js-libp2p stack (circuitRelayTransport, noise, yamux and mplex with their
// defaults) with our swarm key protector. `../programs.ts` documents the command line and the output.
import { describeError } from '../../../services/shared/errors.ts';
import { type Options, readOptions } from './options.ts';
import { request } from './requester.ts';
import { respond } from './responder.ts';
import { list, register } from './tracker.ts';

async function run(options: Options): Promise<void> {
  switch (options.command) {
    case 'reserve':
    case 'serve':
      return respond(options);
    case 'dial':
    case 'pull':
    case 'push':
    case 'bulk':
      return request(options);
    case 'register':
      return register(options);
    case 'list':
      return list(options);
    default:
      throw new Error(`Unknown command "${options.command}".`);
  }
}

try {
  await run(readOptions(process.argv.slice(2)));
  process.exit(0);
} catch (error) {
  process.stderr.write(`${JSON.stringify({ msg: 'error', reason: describeError(error) })}\n`);
  process.exit(1);
}
