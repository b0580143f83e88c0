// sync-pull: the wire format of entries, and the two versions of the protocol.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

const (
	maxRequestBytes  = 64 * 1024
	maxResponseBytes = 32 * 1024 * 1024
	// Maximum size of a decompressed message, as a multiple of the limit for the compressed message.
	maxDecompressionFactor = 4
)

// The preferred version first.
var pullProtocols = []protocol.ID{"/rustory/sync-pull/1.0.1", "/rustory/sync-pull/1.0.0"}

// Those of a protocol's versions that --version allows.
func protocolsOf(o *options, versions []protocol.ID) []protocol.ID {
	version, isSet := o.values["--version"]
	var offered []protocol.ID
	for _, id := range versions {
		if !isSet || strings.HasSuffix(string(id), version) {
			offered = append(offered, id)
		}
	}
	return offered
}

// One command of the history, with its time in Unix seconds or in the format of the Rust time crate.
type entry[Time any] struct {
	EntryID    string `json:"entry_id"`
	DeviceID   string `json:"device_id"`
	UserID     string `json:"user_id"`
	Ts         Time   `json:"ts"`
	Cmd        string `json:"cmd"`
	Cwd        string `json:"cwd"`
	ExitCode   int32  `json:"exit_code"`
	DurationMs int64  `json:"duration_ms"`
	Shell      string `json:"shell"`
	Hostname   string `json:"hostname"`
	Version    string `json:"version"`
}

// Year, day of the year, hour, minute, second, nanosecond, offset hours, minutes, seconds.
type wireTime [9]int

func convert[From, To any](from entry[From], time func(From) To) entry[To] {
	return entry[To]{
		from.EntryID, from.DeviceID, from.UserID, time(from.Ts), from.Cmd, from.Cwd,
		from.ExitCode, from.DurationMs, from.Shell, from.Hostname, from.Version,
	}
}

func toWireTime(seconds int64) wireTime {
	t := time.Unix(seconds, 0).UTC()
	return wireTime{t.Year(), t.YearDay(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), 0, 0, 0}
}

func fromWireTime(t wireTime) int64 {
	offset := t[6]*3600 + t[7]*60 + t[8]
	return time.Date(t[0], 1, t[1], t[2], t[3], t[4], t[5], time.UTC).Unix() - int64(offset)
}

type pullRequest struct {
	Cursor int64 `json:"cursor"`
	Limit  int64 `json:"limit"`
}

type pullResponse struct {
	Entries    []entry[wireTime] `json:"entries"`
	NextCursor *int64            `json:"next_cursor"`
}

func readEntries(o *options) ([]entry[wireTime], error) {
	path, isSet := o.values["--entries"]
	if !isSet {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var stored []entry[int64]
	if err := json.Unmarshal(text, &stored); err != nil {
		return nil, err
	}
	entries := make([]entry[wireTime], len(stored))
	for i, row := range stored {
		entries[i] = convert(row, toWireTime)
	}
	return entries, nil
}

// Responds to one pull. The cursor of an entry is its position, counted from one.
func respondToPull(stream network.Stream, entries []entry[wireTime]) error {
	var request pullRequest
	if err := readMessage(stream, maxRequestBytes, &request); err != nil {
		return err
	}
	from := min(max(request.Cursor, 0), int64(len(entries)))
	to := min(from+request.Limit, int64(len(entries)))
	response := pullResponse{Entries: entries[from:to]}
	if to > from {
		response.NextCursor = &to
	} else {
		response.Entries = []entry[wireTime]{}
	}
	printLine("served", line{"protocol": stream.Protocol(), "entries": to - from})
	return writeMessage(stream, response)
}

func isCompressed(stream network.Stream) bool {
	return strings.HasSuffix(string(stream.Protocol()), "/1.0.1")
}

func readMessage(stream network.Stream, limit int64, message any) error {
	bytes, err := readBounded(stream, limit)
	if err != nil {
		return err
	}
	if isCompressed(stream) {
		decoder, err := zstd.NewReader(strings.NewReader(string(bytes)))
		if err != nil {
			return err
		}
		defer decoder.Close()
		if bytes, err = readBounded(decoder, limit*maxDecompressionFactor); err != nil {
			return err
		}
	}
	return json.Unmarshal(bytes, message)
}

func readBounded(from io.Reader, limit int64) ([]byte, error) {
	bytes, err := io.ReadAll(io.LimitReader(from, limit+1))
	if err == nil && int64(len(bytes)) > limit {
		err = fmt.Errorf("the message is larger than %d bytes", limit)
	}
	return bytes, err
}

func writeMessage(stream network.Stream, message any) error {
	bytes, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return writeText(stream, bytes)
}

// Writes a message that is JSON, or is meant to be none.
func writeText(stream network.Stream, bytes []byte) error {
	if isCompressed(stream) {
		encoder, err := zstd.NewWriter(nil)
		if err != nil {
			return err
		}
		bytes = encoder.EncodeAll(bytes, nil)
	}
	return writeBytes(stream, bytes)
}

func writeBytes(stream network.Stream, bytes []byte) error {
	if _, err := stream.Write(bytes); err != nil {
		return err
	}
	return stream.CloseWrite()
}
