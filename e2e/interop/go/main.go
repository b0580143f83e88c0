// A program of the interop matrix with published go-libp2p. ../programs.ts documents the command line and the output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// The command line: a command, then options with a value, and flags.
type options struct {
	command string
	values  map[string]string
	pause   bool
}

func readOptions(args []string) (*options, error) {
	if len(args) == 0 {
		return nil, errors.New("the command is missing")
	}
	o := &options{command: args[0], values: map[string]string{}}
	for i := 1; i < len(args); i++ {
		if args[i] == "--pause" {
			o.pause = true
			continue
		}
		if i+1 == len(args) {
			return nil, fmt.Errorf("the option %s requires a value", args[i])
		}
		o.values[args[i]] = args[i+1]
		i++
	}
	return o, nil
}

func (o *options) number(name string, fallback int64) (int64, error) {
	text, isSet := o.values[name]
	if !isSet {
		return fallback, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// The address and the peer id of the relay.
func (o *options) relay() (*peer.AddrInfo, error) {
	return peer.AddrInfoFromString(o.values["--relay"])
}

// The address of the other device through the relay.
func (o *options) target() (*peer.AddrInfo, error) {
	address, err := ma.NewMultiaddr(o.values["--relay"] + "/p2p-circuit/p2p/" + o.values["--peer"])
	if err != nil {
		return nil, err
	}
	return peer.AddrInfoFromP2pAddr(address)
}

var output sync.Mutex

type line map[string]any

// Prints one JSON line, which the runner of the matrix reads.
func printLine(msg string, fields line) {
	printLineTo(os.Stdout, msg, fields)
}

func printLineTo(file *os.File, msg string, fields line) {
	fields["msg"] = msg
	text, err := json.Marshal(fields)
	if err != nil {
		panic(err)
	}
	output.Lock()
	defer output.Unlock()
	fmt.Fprintln(file, string(text))
}

func run(ctx context.Context) error {
	o, err := readOptions(os.Args[1:])
	if err != nil {
		return err
	}
	switch o.command {
	case "reserve", "serve":
		return respond(ctx, o)
	case "dial", "pull", "push", "bulk":
		return request(ctx, o)
	case "register":
		return register(ctx, o)
	case "list":
		return list(ctx, o)
	default:
		return fmt.Errorf("unknown command %q", o.command)
	}
}

func main() {
	if err := run(context.Background()); err != nil {
		printLineTo(os.Stderr, "error", line{"reason": err.Error()})
		os.Exit(1)
	}
}
