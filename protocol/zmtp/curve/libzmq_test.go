package curve

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
	"github.com/go-zeromq/zmq4/security/null"
)

// python returns the command of a libzmq peer, with a key of CURVE if it isn't "". Without
// a Python that has pyzmq the test is skipped, with CI=true it fails.
func python(t *testing.T, key string, arguments ...string) *exec.Cmd {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import zmq").Run() == nil {
			cmd := exec.Command(name, append([]string{"testdata/peer.py"}, arguments...)...)
			cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "SERVER_KEY="+key)
			return cmd
		}
	}
	const lacking = "no python3 with the module zmq (Debian: python3-zmq)"
	if os.Getenv("CI") == "true" {
		t.Fatal(lacking)
	}
	t.Skip(lacking)
	return nil
}

// dialLibzmq connects to a ROUTER of libzmq.
func dialLibzmq(t *testing.T, key string) net.Conn {
	t.Helper()
	cmd := python(t, key, "serve")
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("tcp", "127.0.0.1:"+strings.TrimSpace(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc
}

// acceptLibzmq has a socket of libzmq connect. Its result comes from the channel: nil, or
// what it says is wrong.
func acceptLibzmq(t *testing.T, key, kind string) (net.Conn, <-chan error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cmd := python(t, key, "connect", port, kind)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		err := cmd.Wait()
		if err != nil {
			err = errors.Join(err, errors.New(stderr.String()))
		}
		ended <- err
	}()
	t.Cleanup(func() { cmd.Process.Kill() })
	l.(*net.TCPListener).SetDeadline(time.Now().Add(20 * time.Second))
	nc, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc, ended
}

func TestLibzmqServer(t *testing.T) {
	_, private, err := GenerateKeys()
	if err != nil {
		t.Fatal(err)
	}
	public, err := private.Public()
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range []zmq4.SocketType{zmq4.Dealer, zmq4.Req} {
		nc := dialLibzmq(t, private.String())
		c := Client(nc, &Config{ServerKey: public, MaxFrame: 1 << 20})
		peer, err := zmq4.Open(c, null.Security(), kind, zmq4.SocketIdentity("a secret identity"), false, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := peer.Peer.Meta["Socket-Type"]; got != "ROUTER" {
			t.Errorf("%s: the server's metadata says %q", kind, got)
		}
		for _, size := range []int{0, 1, 222, 223, 255, 256, 8192, 1 << 20} {
			frames := [][]byte{nil, bytes.Repeat([]byte("x"), size), []byte("end")}
			if err := peer.SendMsg(zmq4.NewMsgFrom(frames...)); err != nil {
				t.Fatal(err)
			}
			got, err := peer.RecvMsg()
			want := slices.Concat([][]byte{[]byte("a secret identity")}, frames)
			if err != nil || !slices.EqualFunc(got.Frames, want, bytes.Equal) {
				t.Errorf("%s, %d bytes: %d frames came back, error %v", kind, size, len(got.Frames), err)
			}
		}
	}
}

func TestLibzmqClient(t *testing.T) {
	client, server := configs(t, 1<<20)
	for _, kind := range []string{"DEALER", "REQ"} {
		nc, ended := acceptLibzmq(t, client.ServerKey.String(), kind)
		peer, err := zmq4.Open(Server(nc, server), null.Security(), zmq4.Router, nil, true, nil)
		if err != nil {
			t.Fatal(err)
		}
		if meta := peer.Peer.Meta; meta["Socket-Type"] != kind || meta["Identity"] != "a secret identity" {
			t.Errorf("metadata %v of a %s", meta, kind)
		}
		go func() {
			for {
				m, err := peer.RecvMsg()
				if err != nil || peer.SendMsg(m) != nil {
					return // the client has ended, or says what it lacks
				}
			}
		}()
		if err := <-ended; err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestLibzmqServerWithoutCurveHangsUp(t *testing.T) {
	client, _ := configs(t, 0)
	c := Client(dialLibzmq(t, ""), client)
	mustWrite(t, c, plainGreeting)
	isHungUp(t, c)
}

func TestLibzmqClientWithoutCurveHangsUp(t *testing.T) {
	_, server := configs(t, 0)
	nc, _ := acceptLibzmq(t, "", "DEALER")
	s := Server(nc, server)
	mustWrite(t, s, plainGreeting)
	isHungUp(t, s)
}

// isHungUp tests that a peer of another mechanism hangs up.
func isHungUp(t *testing.T, c *Conn) {
	t.Helper()
	_, err := c.Read(make([]byte, 1))
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("error %v, want a lost connection", err)
	}
}

func TestLibzmqClientWithAnotherServersKey(t *testing.T) {
	client, _ := configs(t, 0)
	_, server := configs(t, 0)
	nc, _ := acceptLibzmq(t, client.ServerKey.String(), "DEALER")
	s := Server(nc, server)
	mustWrite(t, s, plainGreeting)
	mustRead(t, s, plainGreeting)
	if _, err := s.Read(make([]byte, 1)); err != ErrKey {
		t.Errorf("error %v, want %v", err, ErrKey)
	}
}
