package source

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is how long nothing must happen after a change, and burst how long it may go on.
	// Neither keeps a reading from half a file, which Read does: that one change of many
	// files is read once is all they are for, and most programs write them closer together.
	// Who takes longer swaps a link to a directory, or has each step served.
	quiet = 10 * time.Millisecond
	burst = 30 * time.Millisecond
	// pollEvery catches what no notification tells: network file systems, mounts of single
	// files, links into other directories. blindPollEvery is for when there are none at all.
	pollEvery      = 10 * time.Second
	blindPollEvery = 500 * time.Millisecond
)

// Watch calls look at once, then within 30 ms after whatever may have changed the
// configuration at path, and from time to time for what cannot be noticed, until ctx ends.
// It may call in vain: that something is new, look finds out by reading. look returns when
// it wants to be called again at the latest; zero leaves that to Watch.
//
// The directory is watched, not the files, so that editors that rename, and Kubernetes'
// swap of ..data, are seen; so is the directory around it, which may get another in its
// place.
func Watch(ctx context.Context, path string, log *slog.Logger, look func() (again time.Duration)) {
	warnOfWriters(path, log)
	notes, err := fsnotify.NewWatcher()
	if err != nil {
		log.Warn("changes of the configuration cannot be noticed; it is read twice a second instead",
			"error", err.Error(), "fix", "raise fs.inotify.max_user_instances")
		attend(ctx, nil, func() time.Duration { return sooner(look(), blindPollEvery) })
		return
	}
	events := make(chan struct{}, 1)
	var task sync.WaitGroup
	task.Go(func() { forward(notes, filepath.Base(path), events) })
	blind := false
	attend(ctx, events, func() time.Duration {
		// Before looking, or a change in between would be seen by nobody.
		err := follow(notes, path)
		if err != nil && !blind {
			log.Warn("changes of the configuration cannot be noticed; it is read twice a second instead", "error", err.Error())
		}
		if blind = err != nil; blind {
			return sooner(look(), blindPollEvery)
		}
		return sooner(look(), pollEvery)
	})
	_ = notes.Close() // ends forward
	task.Wait()
}

// sooner is the shorter of the two, of which zero asks for nothing.
func sooner(asked, otherwise time.Duration) time.Duration {
	if asked <= 0 {
		return otherwise
	}
	return min(asked, otherwise)
}

// attend calls look at once, after each burst of events, and when it asked for it.
func attend(ctx context.Context, events <-chan struct{}, look func() (again time.Duration)) {
	again := time.NewTimer(0)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		case <-events:
			calm(ctx, events)
		}
		if ctx.Err() != nil {
			return
		}
		again.Reset(look())
	}
}

// calm returns once nothing happens any more, or too long has.
func calm(ctx context.Context, events <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, burst)
	defer cancel()
	still := time.NewTimer(quiet)
	defer still.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-still.C:
			return
		case <-events:
			still.Reset(quiet)
		}
	}
}

// forward turns notes that may be about the configuration, lost ones among them, into
// events, until notes is closed. It never waits for whoever takes them.
func forward(notes *fsnotify.Watcher, base string, events chan<- struct{}) {
	for {
		select {
		case note, ok := <-notes.Events:
			if !ok {
				return
			}
			if !concerns(note.Name, base) {
				continue
			}
		case _, ok := <-notes.Errors: // an overflow: anything may have happened
			if !ok {
				return
			}
		}
		select {
		case events <- struct{}{}:
		default: // one waits already
		}
	}
}

// concerns leaves out what else is written where a configuration lies, such as logs.
func concerns(name, base string) bool {
	name = filepath.Base(name)
	extension := filepath.Ext(name)
	return name == base || extension == ".yaml" || extension == ".yml" || strings.HasPrefix(name, "..")
}

// follow watches the directories in which a change of what path names can be seen, and no
// others. Those that do not exist now are followed when they do.
func follow(notes *fsnotify.Watcher, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	wanted := map[string]bool{filepath.Dir(path): true}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		wanted[filepath.Dir(real)] = true
		if at, err := os.Stat(real); err == nil && at.IsDir() {
			wanted[real] = true
		}
	}
	for _, dir := range notes.WatchList() {
		if !wanted[dir] {
			_ = notes.Remove(dir) // it may be gone
		}
	}
	var failed error
	for dir := range wanted {
		if err := notes.Add(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			failed = err
		}
	}
	return failed
}
