import { spawnSync } from 'node:child_process';
import { afterEach, expect, test } from '@jest/globals';
import { cleanUp } from '../../testing/cleanup.ts';
import { startPeer, startRelay } from '../../testing/relay.ts';
import { createTcpTimeouts } from './tcp-timeouts.ts';

afterEach(cleanUp);

const HAS_SS = spawnSync('ss', ['--version']).status === 0;

/** The state of the relay's connections to its peers as the kernel reports it. */
function timersOf(port: number): string {
  const { stdout } = spawnSync('ss', ['-Htnio', 'state', 'established', 'sport', `= :${port}`], {
    encoding: 'utf8',
  });
  return stdout;
}

if (process.platform === 'linux')
  test('bytes in flight have a deadline of our own', () => {
    expect(createTcpTimeouts().kernelDefault).toBeUndefined();
  });

if (HAS_SS)
  test('the keepalive of a connection begins after the gap that it must survive', async () => {
    const relay = await startRelay();
    await startPeer(relay);
    const port = Number(relay.address.getComponents()[1]?.value);
    // In minutes and seconds; the timer began when the connection was opened.
    expect(timersOf(port)).toMatch(/timer:\(keepalive,1[345]min/);
  });
