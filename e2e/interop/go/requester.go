// The commands dial, pull, push and bulk: a device that dials another device through the relay.
package main

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

const (
	dialTimeout = 20 * time.Second
	// Default of --limit: maximum entries per request.
	defaultLimit = 1000
)

func request(ctx context.Context, o *options) error {
	target, err := o.target()
	if err != nil {
		return err
	}
	node, err := createNode(o)
	if err != nil {
		return err
	}
	defer node.Close()
	// Circuits are limited connections, on which the library opens streams only with this context.
	ctx = network.WithAllowLimitedConn(ctx, "interop")
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if err := node.Connect(dialing, *target); err != nil {
		return err
	}
	circuit, err := circuitOf(node.Network().ConnsToPeer(target.ID)[0])
	if err != nil {
		return err
	}
	printLine("circuit", circuit)
	switch o.command {
	case "pull":
		return pull(ctx, node, target.ID, o)
	case "push":
		return push(ctx, node, target.ID, o)
	case "bulk":
		return bulk(ctx, node, target.ID, o)
	default:
		return identifyAndPing(ctx, node, target.ID)
	}
}

// Identify is complete, because Connect has returned.
func identifyAndPing(ctx context.Context, node host.Host, id peer.ID) error {
	agent, err := node.Peerstore().Get(id, "AgentVersion")
	if err != nil {
		return fmt.Errorf("identify returned no agent: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	if result := <-ping.Ping(ctx, node, id); result.Error != nil {
		return result.Error
	}
	printLine("dialed", line{"peer": id.String(), "agent": agent})
	return nil
}

func pull(ctx context.Context, node host.Host, id peer.ID, o *options) error {
	limit, err := o.number("--limit", defaultLimit)
	if err != nil {
		return err
	}
	var cursor int64
	count := 0
	for {
		stream, err := node.NewStream(ctx, id, protocolsOf(o, pullProtocols)...)
		if err != nil {
			return err
		}
		if err := writeMessage(stream, pullRequest{cursor, limit}); err != nil {
			return err
		}
		var response pullResponse
		if err := readMessage(stream, maxResponseBytes, &response); err != nil {
			return err
		}
		for _, received := range response.Entries {
			printLine("entry", line{"entry": convert(received, fromWireTime)})
		}
		count += len(response.Entries)
		if response.NextCursor == nil {
			printLine("pulled", line{"entries": count, "protocol": stream.Protocol()})
			return stream.Close()
		}
		cursor = *response.NextCursor
		stream.Close()
	}
}

func bulk(ctx context.Context, node host.Host, id peer.ID, o *options) error {
	total, err := o.number("--bytes", 0)
	if err != nil {
		return err
	}
	stream, err := node.NewStream(ctx, id, bulkProtocol)
	if err != nil {
		return err
	}
	digits, err := sendBulk(stream, total, o.pause)
	if err != nil {
		stream.Reset()
		return err
	}
	printLine("confirmed", line{"sha256": digits})
	return stream.Close()
}
