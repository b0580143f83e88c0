// The commands reserve and serve: a device that is reachable through the relay.
package main

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
)

const (
	// Delay before a lost reservation is requested again.
	retryDelay = 500 * time.Millisecond
	// Timeout of connecting and reserving together.
	reserveTimeout = 20 * time.Second
)

func respond(ctx context.Context, o *options) error {
	relay, err := o.relay()
	if err != nil {
		return err
	}
	entries, err := readEntries(o)
	if err != nil {
		return err
	}
	node, err := createNode(o)
	if err != nil {
		return err
	}
	defer node.Close()
	lost := make(chan struct{}, 1)
	node.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, conn network.Conn) { reportCircuit(conn) },
		DisconnectedF: func(_ network.Network, conn network.Conn) { notifyLoss(conn, relay.ID, lost) },
	})
	for _, id := range protocolsOf(o, pullProtocols) {
		handle(node, id, func(stream network.Stream) error { return respondToPull(stream, entries) })
	}
	for _, id := range protocolsOf(o, pushProtocols) {
		handle(node, id, func(stream network.Stream) error { return respondToPush(stream, o) })
	}
	handle(node, bulkProtocol, receiveBulk)
	for {
		err := holdReservation(ctx, node, *relay, lost, o.command == "reserve")
		if o.command == "reserve" {
			return err
		}
		printLine("lost", line{"reason": err.Error(), "connected": isConnected(node, relay.ID)})
		time.Sleep(retryDelay)
	}
}

// Reserves, and refreshes the reservation after three quarters of its lifetime, until it is lost.
func holdReservation(ctx context.Context, node host.Host, relay peer.AddrInfo, lost <-chan struct{}, once bool) error {
	for renewal := false; ; renewal = true {
		reservation, err := reserve(ctx, node, relay)
		if err != nil {
			return err
		}
		var addresses []string
		for _, address := range reservation.Addrs {
			addresses = append(addresses, address.String()+"/p2p-circuit/p2p/"+node.ID().String())
		}
		printLine("reserved", line{
			"renewal":   renewal,
			"addresses": addresses,
			"seconds":   int64(reservation.LimitDuration.Seconds()),
			"bytes":     reservation.LimitData,
			"voucher":   reservation.Voucher != nil,
		})
		if once {
			return nil
		}
		select {
		case <-time.After(time.Until(reservation.Expiration) * 3 / 4):
		case <-lost:
			return errors.New("the connection to the relay has ended")
		}
	}
}

func reserve(ctx context.Context, node host.Host, relay peer.AddrInfo) (*client.Reservation, error) {
	ctx, cancel := context.WithTimeout(ctx, reserveTimeout)
	defer cancel()
	// After a lost connection, the library would delay the next dial to the same address.
	if network, ok := node.Network().(*swarm.Swarm); ok {
		network.Backoff().Clear(relay.ID)
	}
	if err := node.Connect(ctx, relay); err != nil {
		return nil, err
	}
	return client.Reserve(ctx, node, relay)
}

func isConnected(node host.Host, id peer.ID) bool {
	return node.Network().Connectedness(id) == network.Connected
}

func reportCircuit(conn network.Conn) {
	if !conn.Stat().Limited || conn.Stat().Direction != network.DirInbound {
		return
	}
	if circuit, err := circuitOf(conn); err == nil {
		printLine("circuit", circuit)
	}
}

func notifyLoss(conn network.Conn, relay peer.ID, lost chan<- struct{}) {
	if conn.Stat().Limited || conn.RemotePeer() != relay {
		return
	}
	select {
	case lost <- struct{}{}:
	default:
	}
}

func handle(node host.Host, id protocol.ID, serve func(network.Stream) error) {
	node.SetStreamHandler(id, func(stream network.Stream) {
		if err := serve(stream); err != nil {
			stream.Reset()
			return
		}
		stream.Close()
	})
}
