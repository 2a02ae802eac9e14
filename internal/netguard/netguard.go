// Package netguard dials for users without letting them reach what only the server may reach.
//
// Every outgoing call whose address a user can steer (http tasks, webhooks, git, OIDC, imports,
// SSH) goes through one Guard. It looks at the address the socket really connects to, after name
// resolution, so that neither a DNS answer that changes nor an odd spelling of an address gets
// past it. Loopback, private and all other special ranges are refused unless an administrator
// allowed them (--allow-dial). It owns no state beyond that list.
package netguard

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tutti/errs"
)

// Setting is the flag an administrator allows addresses with; it appears in hints.
const Setting = "--allow-dial"

// DialTimeout limits one dial, name resolution included.
const DialTimeout = 10 * time.Second

// Rule is one exception an administrator made.
type Rule struct {
	Prefix netip.Prefix // IPv4 prefixes are never IPv4-mapped IPv6
	Port   uint16       // 0 allows every port
}

// String returns the rule as Parse reads it.
func (r Rule) String() string {
	s := r.Prefix.String()
	if r.Prefix.IsSingleIP() {
		s = r.Prefix.Addr().String()
	}
	if r.Port == 0 {
		return s
	}
	return net.JoinHostPort(s, strconv.Itoa(int(r.Port)))
}

// Guard decides which addresses may be dialed. The zero Guard, and a nil one, allow public unicast
// addresses alone. A Guard is safe for concurrent use as long as nobody changes it.
type Guard struct {
	// Allow lists the exceptions to the refusal of special ranges.
	Allow []Rule
}

// Parse returns a Guard with the given exceptions: an address or a prefix, with or without a port,
// as in "127.0.0.1:8989", "10.0.0.0/8", "10.0.0.0/8:443", "::1", "[::1]:443", "[fd00::/8]:22".
// Host names are refused, because what they mean can change. The error is Invalid and names
// every bad entry.
func Parse(entries []string) (*Guard, error) {
	g := &Guard{}
	var bad []errs.Problem
	for _, s := range entries {
		r, problem := parseRule(strings.TrimSpace(s))
		if problem != "" {
			bad = append(bad, errs.Problem{Location: Setting + " " + strconv.Quote(s), Message: problem})
			continue
		}
		g.Allow = append(g.Allow, r)
	}
	if len(bad) > 0 {
		return nil, errs.New(errs.Invalid, "%s has entries that are no address", Setting).WithProblems(bad...).
			WithHint("write an address or a prefix, with a port if only one is meant: 127.0.0.1:8989, 10.0.0.0/8, [::1]:443")
	}
	return g, nil
}

func parseRule(s string) (r Rule, problem string) {
	host, port := s, ""
	if strings.HasPrefix(s, "[") || strings.Count(s, ":") == 1 {
		var err error
		if host, port, err = net.SplitHostPort(s); err != nil {
			return r, "not of the form address:port"
		}
		n, err := strconv.ParseUint(port, 10, 16)
		if err != nil || n == 0 {
			return r, "the port is not a number from 1 to 65535"
		}
		r.Port = uint16(n)
	}
	p, err := netip.ParsePrefix(host)
	if err != nil {
		a, err := netip.ParseAddr(host)
		if err != nil {
			return r, "neither an address nor a prefix (host names are not accepted)"
		}
		if a.Zone() != "" {
			return r, "an address with a zone cannot be allowed"
		}
		a = a.Unmap()
		p = netip.PrefixFrom(a, a.BitLen())
	}
	switch {
	case p.Addr().Is4In6():
		return r, "write the IPv4 prefix itself, not its IPv6-mapped form"
	case p != p.Masked():
		return r, "the prefix has bits set behind its length; did you mean " + p.Masked().String() + "?"
	}
	r.Prefix = p
	return r, ""
}

// Check returns nil if addr may be dialed, and an error of kind Denied with a hint otherwise.
func (g *Guard) Check(addr netip.AddrPort) error {
	// A zoned or mapped address is contained in no prefix, so bring it into its plain form first.
	a := addr.Addr().Unmap().WithZone("")
	if !a.IsValid() {
		return errs.New(errs.Denied, "refused to connect to an address that is none")
	}
	if g.allows(a, addr.Port()) {
		// The exception names the translator's prefix; what hides behind it is checked by itself.
		if v4, ok := translated(a); ok && !g.exact(a, addr.Port()) {
			return g.Check(netip.AddrPortFrom(v4, addr.Port()))
		}
		return nil
	}
	why := special(a)
	if why == "" {
		return nil
	}
	target := netip.AddrPortFrom(a, addr.Port())
	return errs.New(errs.Denied, "refused to connect to %s: it is %s", target, why).
		WithHint("if that is intended, an administrator can start the server with %s %s", Setting, target)
}

func (g *Guard) allows(a netip.Addr, port uint16) bool {
	if g == nil {
		return false
	}
	for _, r := range g.Allow {
		if r.Prefix.Contains(a) && (r.Port == 0 || r.Port == port) {
			return true
		}
	}
	return false
}

// exact reports whether a rule names this one address rather than a range around it.
func (g *Guard) exact(a netip.Addr, port uint16) bool {
	for _, r := range g.Allow {
		if r.Prefix.IsSingleIP() && r.Prefix.Addr() == a && (r.Port == 0 || r.Port == port) {
			return true
		}
	}
	return false
}

// DialContext connects like net.Dialer.DialContext, for TCP and UDP, and refuses with kind Denied
// where every address of the host is forbidden. It takes at most DialTimeout.
func (g *Guard) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
	default:
		return nil, errs.New(errs.Denied, "refused to connect over %q: only tcp and udp are allowed", network)
	}
	d := net.Dialer{Timeout: DialTimeout, Control: g.control}
	conn, err := d.DialContext(ctx, network, addr)
	if err == nil {
		return conn, nil
	}
	if denied, ok := asDenied(err); ok {
		if host, _, splitErr := net.SplitHostPort(addr); splitErr == nil && !strings.Contains(denied.Msg, host) {
			// Say which name led there; the hint stays about the address.
			return nil, errs.New(errs.Denied, "%s: %w", host, denied).WithHint("%s", denied.Hint)
		}
		return nil, denied
	}
	return nil, err
}

// control runs between the creation of each socket and its connect, with the real address.
func (g *Guard) control(_, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return errs.New(errs.Denied, "refused to connect to %q: not an address", address)
	}
	return g.Check(ap)
}
