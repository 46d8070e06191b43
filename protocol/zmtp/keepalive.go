package zmtp

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remofile/remofile/protocol"
)

const keepAlivePeriod = 5 * time.Second

// watchPeer has the kernel end a TCP connection whose peer is dead, within
// protocol.DeadTime, whether it owes an acknowledgement (tcp(7), TCP_USER_TIMEOUT; by
// default the kernel tries for a quarter of an hour) or nothing is under way
// (keep-alive). Other connections stay as they are.
func watchPeer(nc net.Conn) error {
	tcp, ok := nc.(*net.TCPConn)
	if !ok {
		return nil
	}
	err := tcp.SetKeepAliveConfig(net.KeepAliveConfig{
		Enable:   true,
		Idle:     keepAlivePeriod,
		Interval: keepAlivePeriod,
		Count:    int(protocol.DeadTime / keepAlivePeriod),
	})
	if err != nil {
		return err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	controlled := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(protocol.DeadTime.Milliseconds()))
	})
	if controlled != nil {
		return controlled
	}
	return err
}
