// What can become of a connection from which a header of the PROXY protocol is expected. Tracker and relay report the same.

/** The outcomes with their meanings. @param service the prefix of the variables of the service */
export function proxyHeaderOutcomes(service: 'TRACKER' | 'RELAY') {
  return {
    client: { doc: 'A trusted proxy sent the address of its client.' },
    proxy: {
      doc: 'A trusted proxy sent a header without a client (`LOCAL`, `UNKNOWN`), as it does for its health checks. The client is the proxy.',
    },
    direct: {
      doc: `The connection is not from a trusted proxy, so no header is expected. Should be zero if all devices connect through the load balancer; otherwise add its addresses to \`${service}_TRUSTED_PROXIES\`.`,
    },
    missing: {
      doc: `A trusted proxy sent no header, and was disconnected. Turn on the PROXY protocol in the load balancer, or unset \`${service}_PROXY_PROTOCOL\`.`,
    },
    invalid: { doc: 'A trusted proxy sent a header that is not valid, and was disconnected.' },
    too_long: { doc: 'A trusted proxy sent a header that is too long, and was disconnected.' },
    timeout: {
      doc: 'A trusted proxy did not send a complete header within 5 seconds, and was disconnected.',
    },
    unused: {
      doc: 'A trusted proxy closed the connection before it sent a byte, as health checks of TCP do.',
    },
  } as const satisfies Record<string, { readonly doc: string }>;
}

export type ProxyHeaderOutcome = keyof ReturnType<typeof proxyHeaderOutcomes>;
