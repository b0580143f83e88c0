// Bulk data in one direction, and the hash of the received data as the response.
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	bulkProtocol = "/rustory-interop/bulk/1.0.0"
	chunkBytes   = 64 * 1024
	hashDigits   = 64
)

func receiveBulk(stream network.Stream) error {
	hash := sha256.New()
	count, err := io.CopyBuffer(hash, stream, make([]byte, chunkBytes))
	if err != nil {
		printLine("broken", line{"reason": err.Error()})
		return err
	}
	digits := hex.EncodeToString(hash.Sum(nil))
	printLine("received", line{"bytes": count, "sha256": digits})
	if _, err := stream.Write([]byte(digits)); err != nil {
		return err
	}
	return stream.CloseWrite()
}

// Sends bulk data and returns the hash that the other side computed. pause waits for a line of input halfway.
func sendBulk(stream network.Stream, total int64, pause bool) (string, error) {
	done := make(chan error, 1)
	var digits []byte
	// Reading detects the end of the circuit during the pause.
	go func() {
		var err error
		digits, err = io.ReadAll(io.LimitReader(stream, hashDigits))
		done <- err
	}()
	hash := sha256.New()
	left := total
	for index := uint64(0); ; index++ {
		if pause && left <= total/2 {
			pause = false
			if err := waitForInput(done); err != nil {
				return "", err
			}
		}
		if left == 0 {
			break
		}
		chunk := chunkOf(index, left)
		hash.Write(chunk)
		if _, err := stream.Write(chunk); err != nil {
			return "", err
		}
		left -= int64(len(chunk))
	}
	if err := stream.CloseWrite(); err != nil {
		return "", err
	}
	printLine("sent", line{"bytes": total, "sha256": hex.EncodeToString(hash.Sum(nil))})
	err := <-done
	return string(digits), err
}

// Waits for a line of standard input, or for the end of the stream.
func waitForInput(done <-chan error) error {
	printLine("half", line{})
	resume := make(chan struct{})
	go func() {
		_, _ = bufio.NewReader(os.Stdin).ReadString('\n')
		close(resume)
	}()
	select {
	case <-resume:
		return nil
	case err := <-done:
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
}

// A chunk that starts with its index, so that the hash detects lost and reordered chunks.
func chunkOf(index uint64, left int64) []byte {
	chunk := bytes.Repeat([]byte{byte(index)}, int(min(chunkBytes, left)))
	number := binary.BigEndian.AppendUint64(nil, index)
	copy(chunk, number)
	return chunk
}
