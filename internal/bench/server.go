package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
)

// A server is a program that answers each line with a number.
type server struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func serve(program string, args ...string) (*server, error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &server{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

func (s *server) ask(line string) (v float64, err error) {
	if _, err := fmt.Fprintln(s.in, line); err != nil {
		return 0, err
	}
	_, err = fmt.Fscanln(s.out, &v)
	return v, err
}

func (s *server) close() {
	s.in.Close()
	s.cmd.Wait()
}

// update performs one update of a training and returns its seconds.
func (s *server) update() (float64, error) { return s.ask("update") }

// kill ends a training that would otherwise run to its end.
func (s *server) kill() {
	s.cmd.Process.Kill()
	s.close()
}
