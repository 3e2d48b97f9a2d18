package login

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	stateListen = "0A" // TCP_LISTEN in the kernel's numbering
	maxTable    = 16 << 20
)

// owner names the process that listens on a port, as far as this user can see it.
func owner(port int) string {
	const nobody = "another program"
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		inode := listener(table, port)
		if inode == "" {
			continue
		}
		if name := holder(inode); name != "" {
			return name
		}
		return nobody + ", of another user"
	}
	return nobody
}

// listener returns the inode of the socket that listens on a port, by a kernel table:
// "sl local_address rem_address st ... uid timeout inode".
func listener(table string, port int) string {
	f, err := os.Open(table)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	lines := bufio.NewScanner(io.LimitReader(f, maxTable))
	suffix := fmt.Sprintf(":%04X", port)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 9 && strings.HasSuffix(fields[1], suffix) && fields[3] == stateListen {
			return fields[9]
		}
	}
	return ""
}

func holder(inode string) string {
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err != nil || target != "socket:["+inode+"]" {
			continue
		}
		process := filepath.Dir(filepath.Dir(link))
		name, err := os.ReadFile(filepath.Join(process, "comm")) // not cmdline, which may hold secrets
		if err != nil {
			return ""
		}
		return fmt.Sprintf("%s (pid %s)", printable(string(name)), filepath.Base(process))
	}
	return ""
}
