import { describe, expect, test } from '@jest/globals';
import { readAnnounced } from './announce.ts';

const OWN = '12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x';
const OTHER = '12D3KooWRfdEznKxzJbPSkejpr8aRmRX6e8NGW1XWT5irbxBAzuV';

describe('an announced address', () => {
  test.each([
    ['/ip4/203.0.113.7/tcp/4002', undefined],
    ['/ip6/2001:db8::7/tcp/4002', undefined],
    ['/ip4/10.0.0.7/tcp/4002', 'an address of a private network'],
    ['/ip4/192.168.1.7/tcp/4002', 'an address of a private network'],
    ['/ip4/100.64.0.7/tcp/4002', 'an address of a private network'],
    ['/ip4/169.254.0.7/tcp/4002', 'an address of a private network'],
    ['/ip6/fd00::7/tcp/4002', 'an address of a private network'],
    ['/ip6/fe80::7/tcp/4002', 'an address of a private network'],
    ['/ip6/::ffff:10.0.0.7/tcp/4002', 'an address of a private network'],
    ['/ip4/127.0.0.1/tcp/4002', 'a loopback address'],
    ['/ip6/::1/tcp/4002', 'a loopback address'],
    ['/dns4/localhost/tcp/4002', 'a loopback address'],
    ['/dns4/hub.example.org/tcp/4002', 'a name and not an IP address'],
    ['/dns6/hub.example.org/tcp/4002', 'a name and not an IP address'],
    ['/dns/hub.example.org/tcp/4002', 'a name and not an IP address'],
  ])('%s is registered; it is %s', (address, reason) => {
    const announced = readAnnounced([address], OWN);
    expect(announced.problems).toEqual([]);
    expect(announced.addresses).toHaveLength(1);
    expect(announced.addresses[0]).toContain(`/tcp/4002/p2p/${OWN}`);
    expect(announced.isPublic).toBe(reason === undefined);
    expect(announced.warnings).toEqual(
      reason === undefined ? [] : [expect.stringContaining(`is ${reason}, which rr 1.x never dials`)],
    );
  });

  test('has the peer id of the hub once, whether it is given or not', () => {
    const bare = '/ip4/203.0.113.7/tcp/4002';
    expect(readAnnounced([bare, `${bare}/p2p/${OWN}`], OWN).addresses).toEqual([`${bare}/p2p/${OWN}`]);
  });

  test('of another peer is a problem, because the peer id follows from the database', () => {
    const { addresses, isPublic, problems } = readAnnounced([`/ip4/203.0.113.7/tcp/4002/p2p/${OTHER}`], OWN);
    expect({ addresses, isPublic }).toEqual({ addresses: [], isPublic: false });
    expect(problems).toEqual([expect.stringContaining(`this hub is ${OWN}. Remove /p2p/ and the peer id`)]);
  });

  test('that is public among private ones makes relays unnecessary', () => {
    expect(readAnnounced(['/ip4/10.0.0.7/tcp/4002', '/ip4/203.0.113.7/tcp/4002'], OWN).isPublic).toBe(true);
  });
});
