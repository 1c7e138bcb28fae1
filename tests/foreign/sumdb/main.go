// Answers questions about a venue's log with Go's own sumdb/note and sumdb/tlog.
//
// Every line of standard input is a question in JSON, every line of standard output its answer. See
// tests/foreign/toolbox.py for the questions. Opening notes, checking records, trees and tiles is
// all done by golang.org/x/mod; what is written here reads files and splits lines.
package main

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type question struct {
	Ask    string   // checkpoint, inclusion, consistency or log
	Key    string   // the venue's verifier key
	Note   string   // a signed checkpoint
	Older  string   // an earlier one
	Proof  string   // the text of a tlog-proof
	Entry  []byte   // the bytes of a statement
	Path   []string // a consistency path, in base64
	Folder string   // a published folder
}

type answer struct {
	Holds bool   `json:"holds"`
	Why   string `json:"why"`
}

func main() {
	questions := json.NewDecoder(os.Stdin)
	answers := json.NewEncoder(os.Stdout)
	for questions.More() {
		var q question
		if err := questions.Decode(&q); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		a := answer{Holds: true}
		if err := ask(q); err != nil {
			a = answer{Why: err.Error()}
		}
		if err := answers.Encode(a); err != nil {
			os.Exit(2)
		}
	}
}

func ask(q question) error {
	switch q.Ask {
	case "checkpoint":
		_, err := open(q.Note, q.Key)
		return err
	case "inclusion":
		return inclusion(q)
	case "consistency":
		return consistency(q)
	case "log":
		return readLog(q)
	}
	fmt.Fprintln(os.Stderr, "no such question:", q.Ask)
	os.Exit(2)
	return nil
}

// open reads the tree that a checkpoint states, once its signature holds.
func open(text, key string) (tlog.Tree, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tlog.Tree{}, err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("not a checkpoint of this log")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: root}, err
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, line := range lines {
		hash, err := tlog.ParseHash(line)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

func inclusion(q question) error {
	head, checkpoint, found := strings.Cut(q.Proof, "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("not a tlog-proof")
	}
	index, err := strconv.ParseInt(strings.TrimPrefix(lines[1], "index "), 10, 64)
	if err != nil {
		return err
	}
	path, err := parseHashes(lines[2:])
	if err != nil {
		return err
	}
	tree, err := open(checkpoint, q.Key)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(q.Entry))
}

func consistency(q question) error {
	older, err := open(q.Older, q.Key)
	if err != nil {
		return err
	}
	newer, err := open(q.Note, q.Key)
	if err != nil {
		return err
	}
	path, err := parseHashes(q.Path)
	if err != nil {
		return err
	}
	return tlog.CheckTree(path, newer.N, newer.Hash, older.N, older.Hash)
}

// tiles reads the hash tiles of a published folder, whose paths leave out the height.
type tiles string

func (folder tiles) Height() int                     { return 8 }
func (folder tiles) SaveTiles([]tlog.Tile, [][]byte) {}
func (folder tiles) read(path string) ([]byte, error) {
	return os.ReadFile(filepath.Join(string(folder), path))
}
func (folder tiles) hashes(t tlog.Tile) ([]byte, error) {
	return folder.read("tile/" + strings.TrimPrefix(t.Path(), "tile/8/"))
}

func (folder tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		data, err := folder.hashes(tile)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// entries reads the bundle of a tile: every entry behind its length, 16 bits.
func (folder tiles) entries(t tlog.Tile) ([][]byte, error) {
	t.L = -1
	data, err := folder.read(strings.Replace(t.Path(), "tile/8/data", "tile/entries", 1))
	var all [][]byte
	for err == nil && len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, errors.New("an entry bundle is cut short")
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		all, data = append(all, data[2:end]), data[end:]
	}
	return all, err
}

// readLog holds every entry against the hash tiles, these against the checkpoint, and every older
// checkpoint against it.
func readLog(q question) error {
	folder := tiles(q.Folder)
	text, err := folder.read("checkpoint")
	if err != nil {
		return err
	}
	tree, err := open(string(text), q.Key)
	if err != nil {
		return err
	}
	hashes := tlog.TileHashReader(tree, folder)
	for at := int64(0); at < tree.N; at += 256 {
		tile := tlog.Tile{H: 8, N: at / 256, W: int(min(256, tree.N-at))}
		entries, err := folder.entries(tile)
		if err != nil {
			return err
		}
		if len(entries) != tile.W {
			return fmt.Errorf("%d entries where there should be %d", len(entries), tile.W)
		}
		for i, entry := range entries {
			number := at + int64(i)
			proven, err := hashes.ReadHashes([]int64{tlog.StoredHashIndex(0, number)})
			if err != nil {
				return err
			}
			if proven[0] != tlog.RecordHash(entry) {
				return fmt.Errorf("entry %d is not what the hash tiles say", number)
			}
		}
	}
	return olderOnes(q, tree, hashes, folder)
}

func olderOnes(q question, tree tlog.Tree, hashes tlog.HashReader, folder tiles) error {
	names, err := filepath.Glob(filepath.Join(q.Folder, "checkpoints", "*"))
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := folder.read(filepath.Join("checkpoints", filepath.Base(name)))
		if err != nil {
			return err
		}
		older, err := open(string(text), q.Key)
		if err != nil {
			return err
		}
		path, err := tlog.ProveTree(tree.N, older.N, hashes)
		if err != nil {
			return err
		}
		if err := tlog.CheckTree(path, tree.N, tree.Hash, older.N, older.Hash); err != nil {
			return fmt.Errorf("checkpoint %d: %w", older.N, err)
		}
	}
	return nil
}
