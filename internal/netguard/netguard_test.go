package netguard_test

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"tutti/errs"
	"tutti/internal/netguard"
)

var bad = []string{
	"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "100.127.255.255",
	"127.0.0.1", "127.255.255.254", "168.63.129.16", "169.254.169.254", "172.16.0.1", "172.31.255.255",
	"192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
	"198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
	"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1",
	"64:ff9b::127.0.0.1", "64:ff9b::a00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1", "64:ff9b:1:ffff::7f00:1", "100::1",
	"2001::1", "2001:0:7f00:1::", "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::1",
	"3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "febf::1", "ff02::1", "ff0e::1",
	"1::1", "4000::1", "2a00:1450::5efe:7f00:1", "2a00:1450::200:5efe:a00:1",
}

var good = []string{"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.0.1.1", "198.17.255.255", "223.255.255.255", "168.63.129.17", "::ffff:8.8.8.8", "2606:4700:4700::1111", "2a00:1450:4001::1"}

func TestZeroGuardRefusesSpecialRanges(t *testing.T) {
	t.Parallel()
	for _, g := range []*netguard.Guard{nil, {}} {
		for _, s := range bad {
			err := g.Check(netip.AddrPortFrom(netip.MustParseAddr(s), 443))
			if !errs.Is(err, errs.Denied) {
				t.Errorf("Check(%s) = %v; want a Denied error", s, err)
			}
		}
		for _, s := range good {
			if err := g.Check(netip.AddrPortFrom(netip.MustParseAddr(s), 443)); err != nil {
				t.Errorf("Check(%s) = %v; want nil", s, err)
			}
		}
		if err := g.Check(netip.AddrPort{}); !errs.Is(err, errs.Denied) {
			t.Errorf("Check(invalid) = %v; want a Denied error", err)
		}
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	g, err := netguard.Parse([]string{"127.0.0.1:8989", "10.0.0.0/8", "[::1]:443", "172.16.0.0/12:22", "[fd00::/8]:22", "fe80::/10", "64:ff9b::/96", " 192.168.1.1 "})
	if err != nil {
		t.Fatal(err)
	}
	for addr, want := range map[string]bool{
		"127.0.0.1:8989": true, "127.0.0.1:8990": false, "127.0.0.2:8989": false, "[::ffff:127.0.0.1]:8989": true,
		"10.1.2.3:1": true, "11.0.0.1:1": true, "[::1]:443": true, "[::1]:80": false,
		"172.16.3.4:22": true, "172.16.3.4:23": false, "[fd12::1]:22": true, "[fd12::1]:80": false,
		"[fe80::1%eth0]:80": true, "192.168.1.1:9": true, "192.168.1.2:9": false,
		// Through an allowed NAT64 prefix, the address behind it must itself be allowed.
		"[64:ff9b::8.8.8.8]:80": true, "[64:ff9b::127.0.0.1]:80": false, "[64:ff9b::127.0.0.1]:8989": true, "[64:ff9b::10.0.0.1]:80": true,
		"[64:ff9b:1::1]:80": false,
	} {
		if err := g.Check(netip.MustParseAddrPort(addr)); (err == nil) != want {
			t.Errorf("Check(%s) = %v; want allowed: %v", addr, err, want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "localhost", "localhost:80", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http", "10.0.0.1/8", "10.0.0.0/33", "[::1]", "::1:443:x", "fe80::1%lo", "::ffff:10.0.0.0/104", "127.1", "0x7f.1", "010.0.0.1", "*", "http://10.0.0.1"} {
		if g, err := netguard.Parse([]string{"10.0.0.0/8", s}); !errs.Is(err, errs.Invalid) {
			t.Errorf("Parse(%q) = %v, %v; want an Invalid error", s, g, err)
		}
	}
}

func TestRuleRoundTrip(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"127.0.0.1:8989", "10.0.0.0/8", "[::1]:443", "10.0.0.0/8:443", "[fd00::/8]:22", "::1"} {
		g, err := netguard.Parse([]string{s})
		if err != nil {
			t.Fatalf("Parse(%q) = %v", s, err)
		}
		again, err := netguard.Parse([]string{g.Allow[0].String()})
		if err != nil || again.Allow[0] != g.Allow[0] {
			t.Errorf("Parse(%q).String() = %q, which parses to %v, %v", s, g.Allow[0], again, err)
		}
	}
}

func TestDialChecksTheConnectedAddress(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())

	for _, host := range []string{"127.0.0.1", "localhost", "0.0.0.0", "[::ffff:127.0.0.1]", "0", ""} {
		conn, err := new(netguard.Guard).DialContext(t.Context(), "tcp", host+":"+port)
		if err == nil {
			conn.Close()
			t.Errorf("DialContext(%s) connected", host)
			continue
		}
		// "0" is a name, which may simply not resolve, and "" is no address: they must not connect.
		if e, ok := errors.AsType[*errs.Error](err); len(host) > 1 && (!ok || e.Kind != errs.Denied || !strings.Contains(e.Hint, netguard.Setting)) {
			t.Errorf("DialContext(%s) = %v; want Denied with a hint naming %s", host, err, netguard.Setting)
		}
	}

	g, err := netguard.Parse([]string{"127.0.0.1:" + port})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := g.DialContext(t.Context(), "tcp", "localhost:"+port)
	if err != nil {
		t.Fatalf("DialContext to the allowed address = %v", err)
	}
	conn.Close()
	for _, network := range []string{"unix", "ip", "unixgram", ""} {
		if _, err := g.DialContext(t.Context(), network, "/run/docker.sock"); !errs.Is(err, errs.Denied) {
			t.Errorf("DialContext(%q) = %v; want Denied", network, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"127.0.0.1:8989", "10.0.0.0/8", "[::1]:443", "[fd00::/8]:22", "::1", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g, err := netguard.Parse([]string{s})
		if err != nil {
			return
		}
		again, err := netguard.Parse([]string{g.Allow[0].String()})
		if err != nil || again.Allow[0] != g.Allow[0] {
			t.Errorf("Parse(%q) = %v, whose text parses to %v, %v", s, g.Allow[0], again, err)
		}
	})
}
