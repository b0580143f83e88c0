// The commands register and list: the HTTP API of the tracker. Empty fields are sent as null, and a response without
// last_seen_unix is rejected.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	requestTimeout = 5 * time.Second
	maxListBytes   = 1024 * 1024
)

type meta struct {
	DeviceID      *string `json:"device_id"`
	Hostname      *string `json:"hostname"`
	UserID        *string `json:"user_id"`
	Version       *string `json:"version"`
	BuildRevision *string `json:"build_revision"`
	BuildDirty    *bool   `json:"build_dirty"`
}

type registration struct {
	PeerID string   `json:"peer_id"`
	Addrs  []string `json:"addrs"`
	Meta   *meta    `json:"meta"`
}

type listed struct {
	registration
	LastSeen     time.Time `json:"last_seen"`
	LastSeenUnix *int64    `json:"last_seen_unix"`
}

func register(ctx context.Context, o *options) error {
	_, public, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return err
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		return err
	}
	device, user, dirty := "interop", o.values["--user"], true
	body, err := json.Marshal(registration{
		PeerID: id.String(),
		Addrs:  []string{o.values["--relay"] + "/p2p-circuit/p2p/" + id.String()},
		Meta:   &meta{DeviceID: &device, UserID: &user, BuildDirty: &dirty},
	})
	if err != nil {
		return err
	}
	var result struct {
		OK     bool   `json:"ok"`
		TTLSec uint64 `json:"ttl_sec"`
	}
	if err := call(ctx, http.MethodPost, o.values["--tracker"]+"/api/v1/peers/register", body, &result); err != nil {
		return err
	}
	printLine("registered", line{"peer_id": id.String(), "ok": result.OK, "ttl_sec": result.TTLSec})
	return nil
}

func list(ctx context.Context, o *options) error {
	var result struct {
		Peers []listed `json:"peers"`
	}
	address := o.values["--tracker"] + "/api/v1/peers?user_id=" + url.QueryEscape(o.values["--user"])
	if err := call(ctx, http.MethodGet, address, nil, &result); err != nil {
		return err
	}
	for _, found := range result.Peers {
		if found.LastSeenUnix == nil {
			return errors.New("a peer has no last_seen_unix")
		}
	}
	printLine("listed", line{"peers": result.Peers})
	return nil
}

func call(ctx context.Context, method, address string, body []byte, result any) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: the status is %s", address, response.Status)
	}
	decoder := json.NewDecoder(io.LimitReader(response.Body, maxListBytes))
	decoder.DisallowUnknownFields()
	return decoder.Decode(result)
}
