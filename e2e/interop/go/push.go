// entries-push in both roles: the command push, and what serve answers.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	maxPushBytes       = 16 * 1024 * 1024
	maxPushAnswerBytes = 64 * 1024
)

// The preferred version first.
var pushProtocols = []protocol.ID{"/rustory/entries-push/1.0.1", "/rustory/entries-push/1.0.0"}

type deletion struct {
	EntryID   string `json:"entry_id"`
	UserID    string `json:"user_id"`
	DeviceID  string `json:"device_id"`
	DeletedAt int64  `json:"deleted_at"`
}

// Items that are sent need not be valid.
type pushRequest struct {
	Entries   []any `json:"entries"`
	Deletions []any `json:"deletions,omitempty"`
}

type receivedPush struct {
	Entries   []entry[wireTime] `json:"entries"`
	Deletions []deletion        `json:"deletions"`
}

// Counts may be null or absent.
type pushAnswer struct {
	Ok               bool   `json:"ok"`
	Inserted         *int64 `json:"inserted"`
	Ignored          *int64 `json:"ignored"`
	DeletionInserted *int64 `json:"deletion_inserted,omitempty"`
	DeletionIgnored  *int64 `json:"deletion_ignored,omitempty"`
	DeletionDeleted  *int64 `json:"deletion_deleted,omitempty"`
}

// Pushes the entries and deletions of files. Deletions are in the first request.
func push(ctx context.Context, node host.Host, id peer.ID, o *options) error {
	limit, err := o.number("--limit", defaultLimit)
	if err != nil {
		return err
	}
	entries, err := readEntries(o)
	if err != nil {
		return err
	}
	deletions, err := readDeletions(o)
	if err != nil {
		return err
	}
	var version protocol.ID
	totals := line{}
	add := func(name string, count *int64) {
		sum, _ := totals[name].(int64)
		if count != nil {
			sum += *count
		}
		totals[name] = sum
	}
	for first := int64(0); first == 0 || first < int64(len(entries)); first += limit {
		request := pushRequest{Entries: []any{}, Deletions: deletions}
		for _, item := range entries[first:min(first+limit, int64(len(entries)))] {
			request.Entries = append(request.Entries, item)
		}
		answer, used, err := pushOnce(ctx, node, id, o, request)
		if err != nil {
			return err
		}
		if !answer.Ok {
			return errors.New("the push was refused")
		}
		add("inserted", answer.Inserted)
		add("ignored", answer.Ignored)
		add("deletion_inserted", answer.DeletionInserted)
		add("deletion_deleted", answer.DeletionDeleted)
		deletions, version = nil, used
	}
	totals["protocol"] = version
	printLine("pushed", totals)
	return nil
}

func pushOnce(ctx context.Context, node host.Host, id peer.ID, o *options, request pushRequest) (*pushAnswer, protocol.ID, error) {
	stream, err := node.NewStream(ctx, id, protocolsOf(o, pushProtocols)...)
	if err != nil {
		return nil, "", err
	}
	defer stream.Close()
	if err := writePush(stream, request, o.values["--bad"]); err != nil {
		return nil, "", err
	}
	var answer pushAnswer
	err = readMessage(stream, maxPushAnswerBytes, &answer)
	return &answer, stream.Protocol(), err
}

// Writes a request, or the bad one that --bad names.
func writePush(stream network.Stream, request pushRequest, bad string) error {
	if bad == "items" {
		request.Entries = append(request.Entries, line{"entry_id": 7}, nil, "an entry")
		request.Deletions = append(request.Deletions, line{"entry_id": "gone", "deleted_at": "yesterday"})
	}
	text, err := json.Marshal(request)
	if err != nil {
		return err
	}
	switch bad {
	case "", "items":
		return writeText(stream, text)
	case "garbage":
		return writeBytes(stream, []byte("no message"))
	case "cut":
		return writeText(stream, text[:len(text)/2])
	case "large":
		return writeBytes(stream, bytes.Repeat([]byte(" "), maxPushBytes+1))
	case "bomb":
		return writeText(stream, bytes.Repeat([]byte(" "), maxPushBytes*maxDecompressionFactor+1))
	default:
		return fmt.Errorf("unknown value %q of --bad", bad)
	}
}

func readDeletions(o *options) ([]any, error) {
	path, isSet := o.values["--deletions"]
	if !isSet {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var deletions []any
	return deletions, json.Unmarshal(text, &deletions)
}

var answered atomic.Int64

// The kind of answer of the next push. --answer names those of the first pushes; the last one repeats.
func nextAnswer(o *options) string {
	kinds, isSet := o.values["--answer"]
	if !isSet {
		return "counts"
	}
	list := strings.Split(kinds, ",")
	return list[min(int(answered.Add(1)), len(list))-1]
}

// Prints one push and answers it as --answer says. Nothing is stored, so everything counts as new.
func respondToPush(stream network.Stream, o *options) error {
	var request receivedPush
	if err := readMessage(stream, maxPushBytes, &request); err != nil {
		printLine("broken", line{"reason": err.Error()})
		return err
	}
	for _, received := range request.Entries {
		printLine("entry", line{"entry": convert(received, fromWireTime)})
	}
	for _, received := range request.Deletions {
		printLine("deletion", line{"deletion": received})
	}
	printLine("took", line{"protocol": stream.Protocol(), "entries": len(request.Entries), "deletions": len(request.Deletions)})
	inserted, deleted, none := int64(len(request.Entries)), int64(len(request.Deletions)), int64(0)
	switch kind := nextAnswer(o); kind {
	case "counts":
		return writeMessage(stream, pushAnswer{
			Ok: true, Inserted: &inserted, Ignored: &none,
			DeletionInserted: &deleted, DeletionIgnored: &none, DeletionDeleted: &none,
		})
	case "nulls":
		return writeMessage(stream, pushAnswer{Ok: true})
	case "bare":
		return writeMessage(stream, line{"ok": true})
	case "refuse":
		return writeMessage(stream, pushAnswer{})
	case "garbage":
		return writeBytes(stream, []byte("no message"))
	case "close":
		return nil
	default:
		return fmt.Errorf("unknown value %q of --answer", kind)
	}
}
