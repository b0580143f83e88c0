// The node: TCP → swarm key → Noise → muxer, and the same layers inside circuits. QUIC, WebTransport and WebSocket do not
// support a swarm key, so TCP is the only transport.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/libp2p/go-libp2p"
	mplex "github.com/libp2p/go-libp2p-mplex"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/pnet"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// Creates a node with a new identity and prints its peer id.
func createNode(o *options) (host.Host, error) {
	file, err := os.Open(o.values["--key"])
	if err != nil {
		return nil, err
	}
	defer file.Close()
	key, err := pnet.DecodeV1PSK(file)
	if err != nil {
		return nil, err
	}
	settings := []libp2p.Option{
		libp2p.PrivateNetwork(key),
		libp2p.NoListenAddrs,
		libp2p.NoTransports,
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		// Must follow NoListenAddrs, which disables it.
		libp2p.EnableRelay(),
		libp2p.ForceReachabilityPrivate(),
		libp2p.DisableMetrics(),
		libp2p.UserAgent("rustory-interop/go"),
	}
	muxer := o.values["--muxer"]
	if muxer == "yamux" || muxer == "both" {
		settings = append(settings, libp2p.Muxer(yamux.ID, yamux.DefaultTransport))
	}
	if muxer == "mplex" || muxer == "both" {
		settings = append(settings, libp2p.Muxer(mplex.ID, mplex.DefaultTransport))
	}
	node, err := libp2p.New(settings...)
	if err != nil {
		return nil, err
	}
	printLine("started", line{"peer_id": node.ID().String()})
	return node, nil
}

// The limits of a circuit that the relay sent. The library stores them in the connection.
func circuitOf(conn network.Conn) (line, error) {
	extra := conn.Stat().Extra
	duration, hasDuration := extra[client.StatLimitDuration].(time.Duration)
	bytes, hasBytes := extra[client.StatLimitData].(uint64)
	if !hasDuration || !hasBytes {
		return nil, fmt.Errorf("the circuit to %s has no limits", conn.RemotePeer())
	}
	return line{
		"peer":    conn.RemotePeer().String(),
		"seconds": int64(duration.Seconds()),
		"bytes":   bytes,
	}, nil
}
