// What all connections of our nodes in a test process share. Received bytes are overwritten after each read, so that code
// that keeps a reference to them fails.
import { createWireIo } from '../services/wire/wire-io.ts';

export const testWireIo = createWireIo({ isPoisoned: true });
