package train

import (
	"bufio"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// availableMemory returns how many bytes this process can take before the
// system or its control group runs out; −1 if nobody says.
func availableMemory() int64 {
	free := int64(-1)
	if kib, ok := counters("/proc/meminfo")["MemAvailable"]; ok {
		free = kib << 10
	}
	for _, dir := range groups() {
		if room, ok := groupRoom(dir); ok && (free < 0 || room < free) {
			free = room
		}
	}
	return free
}

// totalMemory returns how many bytes there are for this process at most: of the
// machine or, if that is less, of its control group; −1 if nobody says.
func totalMemory() int64 {
	total := int64(-1)
	if kib, ok := counters("/proc/meminfo")["MemTotal"]; ok {
		total = kib << 10
	}
	for _, dir := range groups() {
		if limit, ok := number(dir + "/memory.max"); ok && (total < 0 || limit < total) {
			total = limit
		}
	}
	return total
}

// groups lists the folders of this process's control group of version 2 and of
// those around it.
func groups() (list []string) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(text)) {
		if dir, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			for dir = path.Clean("/" + dir); dir != "/"; dir = path.Dir(dir) {
				list = append(list, "/sys/fs/cgroup"+dir)
			}
			list = append(list, "/sys/fs/cgroup/")
		}
	}
	return list
}

// groupRoom returns how many bytes a control group of version 2 has left; files
// that it caches can make room.
func groupRoom(dir string) (room int64, ok bool) {
	limit, ok := number(dir + "/memory.max")
	used, known := number(dir + "/memory.current")
	if !ok || !known {
		return 0, false
	}
	stat := counters(dir + "/memory.stat")
	return max(0, limit-used+stat["inactive_file"]+stat["active_file"]), true
}

// number reads a file that holds one.
func number(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil // "max" is no number
}

// counters reads lines such as "MemAvailable:  123 kB" or "active_file 456".
func counters(path string) map[string]int64 {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	all := map[string]int64{}
	for lines := bufio.NewScanner(io.LimitReader(f, 1<<20)); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) < 2 {
			continue
		}
		if n, err := strconv.ParseInt(words[1], 10, 64); err == nil {
			all[strings.TrimSuffix(words[0], ":")] = n
		}
	}
	return all
}
