package netguard

import (
	"net/netip"
)

type block struct {
	prefix netip.Prefix
	why    string
}

// blocks4 are the IPv4 ranges that are not plain public unicast: the IANA special-purpose registry,
// multicast, reserved space, and the one public address that clouds use for instance metadata.
var blocks4 = blocksOf(
	"0.0.0.0/8", "this host",
	"10.0.0.0/8", "a private address",
	"100.64.0.0/10", "a carrier's shared address (CGNAT)",
	"127.0.0.0/8", "a loopback address",
	"168.63.129.16/32", "a cloud platform's metadata address",
	"169.254.0.0/16", "a link-local address",
	"172.16.0.0/12", "a private address",
	"192.0.0.0/24", "reserved for protocols",
	"192.0.2.0/24", "a documentation address",
	"192.31.196.0/24", "an AS112 address",
	"192.52.193.0/24", "a multicast relay",
	"192.88.99.0/24", "a 6to4 relay",
	"192.168.0.0/16", "a private address",
	"192.175.48.0/24", "an AS112 address",
	"198.18.0.0/15", "a benchmarking address",
	"198.51.100.0/24", "a documentation address",
	"203.0.113.0/24", "a documentation address",
	"224.0.0.0/4", "a multicast address",
	"240.0.0.0/4", "a reserved address",
)

// blocks6 come before the rule that everything outside 2000::/3 is refused; those outside are here
// for the sake of a precise message.
var blocks6 = blocksOf(
	"::/128", "the unspecified address",
	"::1/128", "a loopback address",
	"::/96", "an IPv4-compatible address",
	"::ffff:0:0:0/96", "an IPv4-translated address",
	"64:ff9b::/96", "an IPv4 address behind NAT64",
	"64:ff9b:1::/48", "an IPv4 address behind a local NAT64",
	"100::/64", "a discard-only address",
	"100:0:0:1::/64", "a dummy address",
	"2001::/32", "an IPv4 address behind Teredo",
	"2001::/23", "reserved for protocols",
	"2001:db8::/32", "a documentation address",
	"2002::/16", "an IPv4 address behind 6to4",
	"2620:4f:8000::/48", "an AS112 address",
	"3fff::/20", "a documentation address",
	"5f00::/16", "a segment-routing address",
	"fc00::/7", "a private (unique local) address",
	"fe80::/10", "a link-local address",
	"fec0::/10", "a site-local address",
	"ff00::/8", "a multicast address",
)

var (
	global6 = netip.MustParsePrefix("2000::/3")
	nat64   = netip.MustParsePrefix("64:ff9b::/96")
)

func blocksOf(pairs ...string) []block {
	var out []block
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, block{netip.MustParsePrefix(pairs[i]), pairs[i+1]})
	}
	return out
}

// special returns why a, unmapped and without zone, is not a plain public unicast address; ""
// when it is one.
func special(a netip.Addr) string {
	blocks := blocks6
	if a.Is4() {
		blocks = blocks4
	}
	for _, b := range blocks {
		if b.prefix.Contains(a) {
			return b.why
		}
	}
	if a.Is6() {
		if !global6.Contains(a) {
			return "outside the public IPv6 range"
		}
		if isatap(a) {
			return "an IPv4 address behind ISATAP"
		}
	}
	return ""
}

// isatap reports whether a's interface identifier embeds an IPv4 address as RFC 5214 has it.
func isatap(a netip.Addr) bool {
	b := a.As16()
	return b[8]&^0x02 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

// translated returns the IPv4 address behind the well-known NAT64 prefix.
func translated(a netip.Addr) (netip.Addr, bool) {
	if !nat64.Contains(a) {
		return netip.Addr{}, false
	}
	b := a.As16()
	return netip.AddrFrom4([4]byte(b[12:])), true
}
