package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"
)

// client is a connection that sends questions like NGINX.
type client struct {
	net.Conn
	in  *bufio.Reader
	out []byte
}

func dial(addr string) (*client, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{Conn: c, in: bufio.NewReaderSize(c, 1024)}, nil
}

// ask sends a request with a password and returns the status for the client.
func (c *client) ask(address, user, password string) (status int, err error) {
	c.out = append(c.out[:0], "GET /auth/nginx HTTP/1.1\r\nHost: example.com\r\nX-Original-Method: GET\r\nX-Original-URI: /\r\nX-Forwarded-For: "...)
	c.out = append(c.out, address...)
	c.out = append(c.out, "\r\nAuthorization: Basic "...)
	c.out = base64.StdEncoding.AppendEncode(c.out, []byte(user+":"+password))
	c.out = append(c.out, "\r\n\r\n"...)
	if _, err := c.Write(c.out); err != nil {
		return 0, err
	}
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if _, err := fmt.Sscanf(string(line), "HTTP/1.1 %d ", &status); err != nil {
		return 0, err
	}
	length := 0
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if len(line) <= 2 {
			break
		}
		// In dialect nginx, a refusal is a 403 with the actual status in a header.
		if n, ok := number(line, "X-Error-Status: "); ok {
			status = n
		}
		if n, ok := number(line, "Content-Length: "); ok {
			length = n
		}
	}
	_, err = c.in.Discard(length)
	return status, err
}

func number(line []byte, name string) (n int, ok bool) {
	if len(line) < len(name)+2 || string(line[:len(name)]) != name {
		return 0, false
	}
	n, err := strconv.Atoi(string(line[len(name) : len(line)-2]))
	return n, err == nil
}

// regulars are users whose passwords are remembered. Each has a connection of its own.
type regulars struct {
	clients []*client
}

const (
	regularUsers = 50
	regularEvery = 50 * time.Millisecond // each; together 1,000 a second
)

func (r *regulars) close() {
	for _, c := range r.clients {
		c.Close()
	}
}

func regular(i int) (address, user string) {
	return fmt.Sprintf("10.0.0.%d", i), "regular" + strconv.Itoa(i) // an address that also sends guesses
}

// login logs in the regular users.
func login(addr string) (r *regulars, err error) {
	r = &regulars{}
	for i := range regularUsers {
		c, err := dial(addr)
		if err != nil {
			return r, err
		}
		r.clients = append(r.clients, c)
		address, user := regular(i)
		if code, err := c.ask(address, user, password); err != nil || code != http.StatusOK {
			return r, errors.Join(fmt.Errorf("login of %s: %d", user, code), err)
		}
	}
	return r, nil
}

// asked holds the results of requests.
type asked struct {
	took    []time.Duration // sorted
	refused int
}

func (a asked) median() time.Duration { return a.took[len(a.took)/2] }
func (a asked) p99() time.Duration    { return a.took[len(a.took)*99/100] }

// ask lets all users send requests at their rate for a time d. If a request is delayed by the
// previous one, its time counts from when it was due.
func (r *regulars) ask(ctx context.Context, d time.Duration) (all asked) {
	var mu sync.Mutex
	var group sync.WaitGroup
	start := time.Now()
	for i, c := range r.clients {
		group.Go(func() {
			address, user := regular(i)
			var took []time.Duration
			refused := 0
			due := start.Add(time.Duration(i) * regularEvery / regularUsers)
			for ; due.Sub(start) < d && ctx.Err() == nil; due = due.Add(regularEvery) {
				from := due
				if time.Until(due) > 0 {
					time.Sleep(time.Until(due))
					from = time.Now()
				}
				code, err := c.ask(address, user, password)
				if err != nil || code != http.StatusOK {
					refused++
				}
				took = append(took, time.Since(from))
			}
			mu.Lock()
			defer mu.Unlock()
			all.took = append(all.took, took...)
			all.refused += refused
		})
	}
	group.Wait()
	slices.Sort(all.took)
	return all
}
