package expr

import (
	"cmp"
	be "encoding/binary"
	"math"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// lookup gives the entry of a map or a list, or, where there is none or it is null, the third argument.
func lookup(m *meter, a []any) (any, error) {
	v, err := softGet(m, a[:2])
	if err != nil || v != nil || len(a) < 3 {
		return v, err
	}
	return a[2], nil
}

// version is one as semver.org 2.0 has it.
type version struct {
	core [3]uint64
	pre  []string
}

var semverForm = regexp.MustCompile(`^v?(0|[1-9]\d*)(?:\.(0|[1-9]\d*))?(?:\.(0|[1-9]\d*))?(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+[0-9A-Za-z.-]+)?$`)

// readVersion reads a version; with a v before it, or without minor and patch, which are 0 then.
func readVersion(name string, v any) (out version, err error) {
	s, ok := v.(string)
	if !ok {
		return out, evalErrorf("%s needs text, got %s", name, Describe(v)).hint("string(…) makes text")
	}
	f := semverForm.FindStringSubmatch(s)
	if f == nil || len(s) > 200 {
		return out, evalErrorf("%s: %s is not a version", name, Describe(v)).hint("such as 1.4.0, v2.1 or 1.0.0-rc.1")
	}
	for i := range out.core {
		if f[i+1] == "" {
			continue
		}
		if out.core[i], err = strconv.ParseUint(f[i+1], 10, 32); err != nil {
			return out, evalErrorf("%s: a part of %s is too large", name, Describe(v))
		}
	}
	if f[4] != "" {
		out.pre = strings.Split(f[4], ".")
	}
	return out, nil
}

// compare orders versions as semver.org does: a pre-release is before its release.
func (v version) compare(w version) int {
	for i := range v.core {
		if c := cmp.Compare(v.core[i], w.core[i]); c != 0 {
			return c
		}
	}
	switch {
	case len(v.pre) == 0 || len(w.pre) == 0:
		return cmp.Compare(len(w.pre), len(v.pre))
	}
	for i := range min(len(v.pre), len(w.pre)) {
		if c := comparePre(v.pre[i], w.pre[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(v.pre), len(w.pre))
}

// comparePre orders two parts of pre-releases: numbers by their value and before words.
func comparePre(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Compare(x, y)
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return strings.Compare(a, b)
}

func semver(m *meter, a []any) (any, error) {
	v, err := readVersion("semver", a[0])
	if err != nil {
		return nil, err
	}
	return map[string]any{"major": float64(v.core[0]), "minor": float64(v.core[1]), "patch": float64(v.core[2]), "pre": strings.Join(v.pre, ".")}, m.grow(100)
}

func semverCompare(_ *meter, a []any) (any, error) {
	v, err := readVersion("semverCompare", a[0])
	if err != nil {
		return nil, err
	}
	w, err := readVersion("semverCompare", a[1])
	if err != nil {
		return nil, err
	}
	return float64(v.compare(w)), nil
}

// semverIn says whether a version fits all of some bounds, such as ">=1.2 <2".
func semverIn(m *meter, a []any) (any, error) {
	v, err := readVersion("semverIn", a[0])
	if err != nil {
		return nil, err
	}
	bounds, ok := a[1].(string)
	if !ok || strings.TrimSpace(bounds) == "" {
		return nil, evalErrorf("semverIn needs bounds, got %s", Describe(a[1])).hint(`such as ">=1.2 <2"`)
	}
	for b := range strings.FieldsFuncSeq(bounds, func(r rune) bool { return r == ' ' || r == ',' }) {
		if err := m.spend(2); err != nil {
			return nil, err
		}
		op := b[:len(b)-len(strings.TrimLeft(b, "<>=!"))]
		w, err := readVersion("semverIn", b[len(op):])
		if err != nil {
			return nil, err
		}
		c := v.compare(w)
		fits, known := map[string]bool{"": c == 0, "=": c == 0, "==": c == 0, "!=": c != 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[op]
		if !known {
			return nil, evalErrorf("semverIn: %s is no comparison", Describe(op)).hint("the comparisons are = != < <= > >=")
		}
		if !fits {
			return false, nil
		}
	}
	return true, nil
}

// readPrefix reads a network, or an address, which is a network of one.
func readPrefix(name string, v any) (netip.Prefix, error) {
	s, ok := v.(string)
	if !ok {
		return netip.Prefix{}, evalErrorf("%s needs text, got %s", name, Describe(v)).hint("string(…) makes text")
	}
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, evalErrorf("%s: %s is not a network", name, Describe(v)).hint("such as 10.1.0.0/16 or fd00::/64")
	}
	return p.Masked(), nil
}

// cidr describes a network.
func cidr(m *meter, a []any) (any, error) {
	p, err := readPrefix("cidr", a[0])
	if err != nil {
		return nil, err
	}
	family := 4.0
	if p.Addr().Is6() {
		family = 6
	}
	size := math.Exp2(float64(p.Addr().BitLen() - p.Bits()))
	return map[string]any{"network": p.Addr().String(), "bits": float64(p.Bits()), "last": lastOf(p).String(), "size": size, "family": family}, m.grow(200)
}

// lastOf returns the last address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		for bit := range 8 {
			if i*8+bit >= p.Bits() {
				b[i] |= 0x80 >> bit
			}
		}
	}
	last, _ := netip.AddrFromSlice(b) // it has the length of an address
	return last
}

// cidrHas says whether a network holds an address, or the whole of another network.
func cidrHas(_ *meter, a []any) (any, error) {
	p, err := readPrefix("cidrHas", a[0])
	if err != nil {
		return nil, err
	}
	q, err := readPrefix("cidrHas", a[1])
	if err != nil {
		return nil, err
	}
	return q.Bits() >= p.Bits() && p.Contains(q.Addr()), nil
}

// cidrHost gives the address of a number in a network: 0 is the network itself, -1 the last.
func cidrHost(m *meter, a []any) (any, error) {
	p, err := readPrefix("cidrHost", a[0])
	if err != nil {
		return nil, err
	}
	n, ok := number(a[1])
	if !ok || n != math.Trunc(n) || math.Abs(n) > 1<<53 {
		return nil, evalErrorf("cidrHost needs a whole number, got %s", Describe(a[1]))
	}
	if size := math.Exp2(float64(p.Addr().BitLen() - p.Bits())); n >= size || -n > size {
		return nil, evalErrorf("cidrHost: %s has no address %s", p, Describe(a[1]))
	}
	from := p.Addr()
	if n < 0 {
		from, n = lastOf(p), n+1
	}
	return paid(m, plus(from, int64(n)).String())
}

// plus returns the address n after a, which may be negative; the caller knows that there is one.
func plus(a netip.Addr, n int64) netip.Addr {
	if a.Is4() {
		b := a.As4()
		be.BigEndian.PutUint32(b[:], uint32(int64(be.BigEndian.Uint32(b[:]))+n))
		return netip.AddrFrom4(b)
	}
	b := a.As16()
	high, low := be.BigEndian.Uint64(b[:8]), be.BigEndian.Uint64(b[8:])
	sum := low + uint64(n)
	switch {
	case n >= 0 && sum < low:
		high++
	case n < 0 && sum > low:
		high--
	}
	be.BigEndian.PutUint64(b[:8], high)
	be.BigEndian.PutUint64(b[8:], sum)
	return netip.AddrFrom16(b)
}
