// gostatic: a program that makes its system calls itself, from many goroutines at once.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const (
	goroutines = 64
	rounds     = 80
)

var failures int64

func fail(what string, err error) {
	atomic.AddInt64(&failures, 1)
	fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
}

func files(dir string, number int) {
	path := filepath.Join(dir, fmt.Sprintf("file-%d", number))
	for round := 0; round < rounds; round++ {
		if err := os.WriteFile(path, []byte("content"), 0o644); err != nil {
			fail("write", err)
		}
		if info, err := os.Stat("/../" + path); err != nil || info.Size() != 7 {
			fail("stat", err)
		}
		if text, err := os.ReadFile("/etc/../etc/passwd"); err != nil || len(text) == 0 {
			fail("read", err)
		}
		if _, err := os.Stat("/nonexistent/file"); !os.IsNotExist(err) {
			fail("stat of nothing", err)
		}
	}
	if err := os.Remove(path); err != nil {
		fail("remove", err)
	}
}

func programs(self string) {
	output, err := exec.Command(self, "echo", "hello").Output()
	if err != nil || string(output) != "hello\n" {
		fail("exec", err)
	}
	if err := exec.Command("/nonexistent/program").Run(); !os.IsNotExist(err) {
		fail("exec of nothing", err)
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "echo" {
		fmt.Println(os.Args[2])
		return
	}
	if len(os.Args) > 1 && os.Args[1] == "cat" {
		text, err := os.ReadFile(os.Args[2])
		fmt.Printf("%s%v\n", text, err)
		return
	}
	self, err := os.Executable()
	if err != nil {
		fail("executable", err)
	}
	dir, err := os.MkdirTemp("/opt/udockpy/work", "go")
	if err != nil {
		fail("mkdir", err)
	}
	defer os.RemoveAll(dir)
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	var group sync.WaitGroup
	for number := 0; number < goroutines; number++ {
		group.Add(1)
		go func(number int) {
			defer group.Done()
			files(dir, number)
			if number%8 == 0 {
				programs(self)
			}
		}(number)
	}
	group.Wait()
	fmt.Printf("executable=%s failures=%d\n", self, atomic.LoadInt64(&failures))
	if failures > 0 {
		os.Exit(1)
	}
}
