// Sockets of all kinds within one program: who listens and who connects are goroutines of it.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

func check(err error) {
	if err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// cause is the innermost error, without addresses and ports.
func cause(err error) string {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno.Error()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "deadline"
	}
	if errors.Is(err, net.ErrClosed) {
		return "closed"
	}
	return fmt.Sprint(err)
}

// echo answers every connection with what it says, in capitals, line by line.
func echo(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			lines := bufio.NewScanner(conn)
			for lines.Scan() {
				fmt.Fprintln(conn, strings.ToUpper(lines.Text()))
			}
		}()
	}
}

func streams(network, address string) {
	listener, err := net.Listen(network, address)
	check(err)
	go echo(listener)
	var all sync.WaitGroup
	for n := 0; n < 5; n++ {
		all.Add(1)
		go func(n int) {
			defer all.Done()
			conn, err := net.Dial(network, listener.Addr().String())
			check(err)
			defer conn.Close()
			answers := bufio.NewReader(conn)
			for line := 0; line < 20; line++ {
				fmt.Fprintf(conn, "line %d of %d\n", line, n)
				answer, err := answers.ReadString('\n')
				check(err)
				if answer != fmt.Sprintf("LINE %d OF %d\n", line, n) {
					fmt.Println("wrong:", answer)
				}
			}
		}(n)
	}
	all.Wait()
	check(listener.Close())
	_, err = net.Dial(network, listener.Addr().String())
	fmt.Println(network, "echoed; afterwards:", cause(err))
}

func bulk() {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	check(err)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	go func() {
		conn, err := listener.Accept()
		check(err)
		got, err := io.ReadAll(conn)
		check(err)
		fmt.Fprint(conn, len(got), bytes.Equal(got, data))
		conn.Close()
	}()
	conn, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	_, err = conn.Write(data)
	check(err)
	check(conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	check(err)
	fmt.Println("bulk:", string(answer))
}

func web(address string) {
	listener, err := net.Listen("tcp", address)
	check(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s %d", r.Method, r.URL.Path, len(body))
	})}
	go server.Serve(listener)
	for n := 0; n < 3; n++ {
		answer, err := http.Post("http://"+listener.Addr().String()+"/a/b", "text/plain", strings.NewReader(strings.Repeat("x", 1000*n)))
		check(err)
		body, err := io.ReadAll(answer.Body)
		check(err)
		answer.Body.Close()
		fmt.Println(answer.Status, answer.Proto, string(body))
	}
	check(server.Shutdown(context.Background()))
}

func tested() {
	server := httptest.NewServer(http.FileServer(http.Dir(os.TempDir())))
	defer server.Close()
	path := filepath.Join(os.TempDir(), "served.txt")
	check(os.WriteFile(path, bytes.Repeat([]byte("served "), 5000), 0o600))
	defer os.Remove(path)
	answer, err := server.Client().Get(server.URL + "/served.txt")
	check(err)
	body, err := io.ReadAll(answer.Body)
	check(err)
	fmt.Println("httptest:", answer.StatusCode, len(body), answer.Header.Get("Content-Type"))
}

func deadlines() {
	listener, err := net.Listen("tcp", "localhost:0")
	check(err)
	start := time.Now()
	check(listener.(*net.TCPListener).SetDeadline(start.Add(3 * time.Second)))
	_, err = listener.Accept()
	fmt.Println("accept:", cause(err), time.Since(start) >= 3*time.Second)
	check(listener.(*net.TCPListener).SetDeadline(time.Time{}))
	conn, err := net.Dial("tcp", listener.Addr().String())
	check(err)
	other, err := listener.Accept()
	check(err)
	check(conn.SetReadDeadline(time.Now().Add(time.Second)))
	_, err = conn.Read(make([]byte, 1))
	fmt.Println("read:", cause(err))
	check(conn.SetWriteDeadline(time.Now().Add(time.Second)))
	written := 0
	for err = nil; err == nil; {
		var n int
		n, err = conn.Write(make([]byte, 1<<16))
		written += n
	}
	fmt.Println("write:", cause(err), written > 1<<16)
	check(other.Close())
	check(conn.SetDeadline(time.Time{}))
	_, err = conn.Read(make([]byte, 1))
	fmt.Println("reset:", cause(err))
	_, err = conn.Write([]byte("x"))
	fmt.Println("write after it:", cause(err))
	go func() { time.Sleep(time.Millisecond); listener.Close() }()
	_, err = listener.Accept()
	fmt.Println("accept while it is closed:", cause(err))
}

func datagrams(network, address string) {
	server, err := net.ListenPacket(network, address)
	check(err)
	defer server.Close()
	client, err := net.Dial(network, server.LocalAddr().String())
	check(err)
	defer client.Close()
	for _, text := range []string{"one", "", strings.Repeat("three", 1000)} {
		_, err = client.Write([]byte(text))
		check(err)
		buffer := make([]byte, 100)
		n, from, err := server.ReadFrom(buffer)
		check(err)
		fmt.Println(network, n, from.String() == client.LocalAddr().String())
		_, err = server.WriteTo(buffer[:n], from)
		check(err)
		n, err = client.Read(buffer)
		check(err)
		fmt.Println("back:", n)
	}
	check(server.Close())
	client.Write([]byte("nobody"))
	client.SetReadDeadline(time.Now().Add(time.Second))
	_, err = client.Read(make([]byte, 9))
	fmt.Println("nobody:", cause(err))
}

func local() {
	folder, err := os.MkdirTemp("", "sockets")
	check(err)
	defer os.RemoveAll(folder)
	streams("unix", filepath.Join(folder, "stream"))
	streams("unixpacket", filepath.Join(folder, "packets"))
	streams("unix", "@nowhere in the tree")
	one, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "one"), Net: "unixgram"})
	check(err)
	two, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(folder, "two"), Net: "unixgram"})
	check(err)
	_, err = two.WriteTo([]byte("datagram"), one.LocalAddr())
	check(err)
	buffer := make([]byte, 4)
	n, from, err := one.ReadFrom(buffer)
	check(err)
	fmt.Println(string(buffer[:n]), filepath.Base(from.String()))
	info, err := os.Stat(filepath.Join(folder, "one"))
	check(err)
	fmt.Println(info.Mode().Type())
}

// rights passes an open file and a pipe's end over a pair of sockets.
func rights() {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	check(err)
	reader, writer, err := os.Pipe()
	check(err)
	check(syscall.Sendmsg(pair[0], []byte("here"), syscall.UnixRights(int(reader.Fd())), nil, 0))
	check(reader.Close())
	control, data := make([]byte, 64), make([]byte, 9)
	n, controls, _, _, err := syscall.Recvmsg(pair[1], data, control, syscall.MSG_CMSG_CLOEXEC)
	check(err)
	messages, err := syscall.ParseSocketControlMessage(control[:controls])
	check(err)
	got, err := syscall.ParseUnixRights(&messages[0])
	check(err)
	fmt.Fprint(writer, "through a pipe that was passed")
	check(writer.Close())
	text, err := io.ReadAll(os.NewFile(uintptr(got[0]), "passed"))
	check(err)
	fmt.Println(string(data[:n]), len(got), string(text))
}

func errorsOfDialling() {
	for _, address := range []string{"127.0.0.1:1", "[::1]:1"} {
		_, err := net.Dial("tcp", address)
		fmt.Println(address, cause(err))
	}
	_, err := net.Listen("tcp", "192.0.2.1:0")
	fmt.Println("192.0.2.1:", cause(err))
	first, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	_, err = net.Listen("tcp", first.Addr().String())
	fmt.Println("twice:", cause(err))
}

func names() {
	found, err := net.LookupHost("localhost")
	check(err)
	fmt.Println(len(found) > 0)
	port, err := net.LookupPort("tcp", "http")
	check(err)
	fmt.Println(port)
	left, right := net.Pipe()
	go fmt.Fprint(left, "within the program")
	buffer := make([]byte, 64)
	n, err := right.Read(buffer)
	check(err)
	fmt.Println(string(buffer[:n]))
	loop, err := net.InterfaceByName("lo")
	check(err)
	addresses, err := loop.Addrs()
	check(err)
	fmt.Println(loop.Index, loop.Name, loop.Flags&net.FlagLoopback != 0, addresses[0])
}

func main() {
	if len(os.Args) > 1 { // what is not the same on every host
		for _, network := range []string{"tcp", "udp"} {
			_, err := net.Dial(network, os.Args[1])
			fmt.Println(network, cause(err))
		}
		return
	}
	streams("tcp4", "127.0.0.1:0")
	streams("tcp6", "[::1]:0")
	streams("tcp", ":0")
	bulk()
	web("127.0.0.1:0")
	web("[::1]:0")
	tested()
	deadlines()
	datagrams("udp4", "127.0.0.1:0")
	datagrams("udp6", "[::1]:0")
	local()
	rights()
	errorsOfDialling()
	names()
}
