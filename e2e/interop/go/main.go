// One peer of the interop matrix, on published go-libp2p. The command line and the lines it prints are those of all
// programs of the matrix; ../programs.ts tells them.
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

// The command line: a command, then options that each have a value, then flags.
type options struct {
	command string
	values  map[string]string
	pause   bool
}

func readOptions(args []string) (*options, error) {
	if len(args) == 0 {
		return nil, errors.New("which command?")
	}
	o := &options{command: args[0], values: map[string]string{}}
	for at := 1; at < len(args); at++ {
		if args[at] == "--pause" {
			o.pause = true
			continue
		}
		if at+1 == len(args) {
			return nil, fmt.Errorf("%s needs a value", args[at])
		}
		o.values[args[at]] = args[at+1]
		at++
	}
	return o, nil
}

func (o *options) number(name string, otherwise int64) (int64, error) {
	text, given := o.values[name]
	if !given {
		return otherwise, nil
	}
	return strconv.ParseInt(text, 10, 64)
}

// Where the relay is: its addresses and its peer id.
func (o *options) relay() (*peer.AddrInfo, error) {
	return peer.AddrInfoFromString(o.values["--relay"])
}

// Where another device is: behind the relay.
func (o *options) target() (*peer.AddrInfo, error) {
	address, err := ma.NewMultiaddr(o.values["--relay"] + "/p2p-circuit/p2p/" + o.values["--peer"])
	if err != nil {
		return nil, err
	}
	return peer.AddrInfoFromP2pAddr(address)
}

var output sync.Mutex

type line map[string]any

// Prints one line for the runner of the matrix.
func say(msg string, fields line) {
	sayTo(os.Stdout, msg, fields)
}

func sayTo(file *os.File, msg string, fields line) {
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
	case "dial", "pull", "bulk":
		return request(ctx, o)
	case "register":
		return register(ctx, o)
	case "list":
		return list(ctx, o)
	default:
		return fmt.Errorf("there is no command %s", o.command)
	}
}

func main() {
	if err := run(context.Background()); err != nil {
		sayTo(os.Stderr, "error", line{"reason": err.Error()})
		os.Exit(1)
	}
}
