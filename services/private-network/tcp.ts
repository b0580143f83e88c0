// The TCP transport of libp2p, with two changes: a name that has several addresses is connected to in the way of
// `tcp-connect.ts`, with the family of addresses that its protocol names, and each address that cannot be listened on is
// reported with its reason.
import type { Socket } from 'node:net';
import type { Listener, Transport } from '@libp2p/interface';
import { tcp, type TCPOptions } from '@libp2p/tcp';
import type { Multiaddr } from '@multiformats/multiaddr';
import { ANY_FAMILY, connectTcp, type Family, type Lookup } from '../shared/tcp-connect.ts';

/** The families of addresses that the protocols of names stand for. */
const FAMILIES: Readonly<Record<string, readonly Family[]>> = { dns: ANY_FAMILY, dns4: [4], dns6: [6] };

/** The event with which the library announces a dial; it is the first stage of an attempt. */
const OPEN_CONNECTION = 'tcp:open-connection';

export interface TcpOptions {
  /** Default: the resolver of the operating system. */
  readonly lookup?: Lookup | undefined;
  /** Called with each address that cannot be listened on. */
  readonly onListenFailure?: ((address: Multiaddr, error: unknown) => void) | undefined;
}

/** The members of the transport that we use although they are not part of its public API. */
interface TcpInternals {
  _connect(address: Multiaddr, options: ConnectOptions): Promise<Socket>;
}

interface ConnectOptions {
  readonly signal: AbortSignal;
  readonly onProgress?: (event: CustomEvent<unknown>) => void;
  /** Default: that of the transport. */
  readonly lookup?: Lookup | undefined;
}

type CreateTcp = ReturnType<typeof tcp>;

/** @throws TypeError when the installed version of the library lacks a member that we use */
export function createTcp(options: TCPOptions, { lookup, onListenFailure }: TcpOptions): CreateTcp {
  const create = tcp(options);
  return (components) => {
    const transport = create(components);
    const { _connect: connectAddress } = transport as unknown as TcpInternals;
    if (typeof connectAddress !== 'function')
      throw new TypeError(
        '@libp2p/tcp: this version has no TCP._connect. Install the version of package.json.',
      );
    const createListener = transport.createListener.bind(transport);
    const changes: TcpInternals & Pick<Transport, 'createListener'> = {
      async _connect(address, dial) {
        const [name, port] = address.getComponents();
        const families = FAMILIES[name?.name ?? ''];
        if (families === undefined) return connectAddress.call(transport, address, dial);
        dial.onProgress?.(new CustomEvent(OPEN_CONNECTION));
        const target = { host: name?.value ?? '', port: Number(port?.value), families };
        return connectTcp(target, {
          socket: options.dialOpts ?? {},
          signal: dial.signal,
          lookup: dial.lookup ?? lookup,
        });
      },
      createListener: (init) => reportFailures(createListener(init), onListenFailure),
    };
    return Object.assign(transport, changes);
  };
}

function reportFailures(listener: Listener, onFailure: TcpOptions['onListenFailure']): Listener {
  const listen = listener.listen.bind(listener);
  return Object.assign(listener, {
    async listen(address: Multiaddr) {
      try {
        await listen(address);
      } catch (error) {
        onFailure?.(address, error);
        throw error;
      }
    },
  });
}
