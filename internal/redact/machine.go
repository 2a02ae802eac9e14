package redact

// machine is a non-deterministic automaton over bytes that accepts all forms of all secrets. It is
// simulated with a set of threads, so that matching takes linear time whatever the secrets and
// the text are, and can stop and go on between any two bytes.
type machine struct {
	states []state
	// Threads start only where two bytes begin some form: one look into a bitmap for each byte of
	// ordinary text. bigrams has the states after those two bytes.
	mayStart [1 << 16 / 64]uint64
	bigrams  map[uint16][]int32
	first    [256]bool // bytes some form begins with
	single   [256]bool // bytes that are a secret by themselves
}

type state struct {
	edges  []edge
	accept bool
}

type edge struct {
	b  byte
	to int32
}

// element is one character of a form: the alternative ways to write it, none of them empty.
type element []string

// add adds all forms of secret.
func (m *machine) add(secret string, derived bool) {
	elements := escaped(secret, derived)
	m.startAt(m.chain(elements, len(elements))[0], true)
	if !derived {
		return
	}
	elements = hexadecimal(secret)
	m.startAt(m.chain(elements, len(elements))[0], true)
	for offset := range 3 {
		elements, padding := base64Forms(secret, offset)
		states := m.chain(append(elements, padding...), len(elements))
		// A line may break after the first digit. Waiting for that would hold back every line that
		// happens to end in such a digit; to start again after the break does not, and costs
		// six bits of the secret at most.
		m.startAt(states[0], false)
		m.startAt(states[1], false)
	}
}

// chain adds one form, which is complete once at least need of its elements were read, and returns
// the states before each element.
func (m *machine) chain(elements []element, need int) []int32 {
	states := []int32{m.state()}
	for i, alternatives := range elements {
		next := m.state()
		m.states[next].accept = i+1 >= need
		for _, alt := range alternatives {
			m.link(states[i], alt, next)
		}
		states = append(states, next)
	}
	return states
}

// startAt lets threads start in s; where breaks is false, not on a line break nor before one.
func (m *machine) startAt(s int32, breaks bool) {
	forbidden := func(b byte) bool { return !breaks && (b == '\n' || b == '\r') }
	for _, e1 := range m.states[s].edges {
		if forbidden(e1.b) {
			continue
		}
		m.first[e1.b] = true
		if m.states[e1.to].accept {
			m.single[e1.b] = true
		}
		for _, e2 := range m.states[e1.to].edges {
			if forbidden(e2.b) {
				continue
			}
			k := uint16(e1.b)<<8 | uint16(e2.b)
			m.mayStart[k/64] |= 1 << (k % 64)
			m.bigrams[k] = append(m.bigrams[k], e2.to)
		}
	}
}

func (m *machine) state() int32 {
	m.states = append(m.states, state{})
	return int32(len(m.states) - 1)
}

// link makes text lead from one state to another, sharing the way with earlier alternatives.
func (m *machine) link(from int32, text string, to int32) {
	for i := range len(text) - 1 {
		next := int32(-1)
		for _, e := range m.states[from].edges {
			if e.b == text[i] && e.to != to {
				next = e.to
			}
		}
		if next < 0 {
			next = m.state()
			m.states[from].edges = append(m.states[from].edges, edge{text[i], next})
		}
		from = next
	}
	m.states[from].edges = append(m.states[from].edges, edge{text[len(text)-1], to})
}

// span is a half-open range of offsets in the text.
type span struct{ from, to int64 }

// thread is a form that has been read in part.
type thread struct {
	state int32
	from  int64
}

// scan reads text through a machine. Its spans are disjoint and in order.
type scan struct {
	m     *machine
	pos   int64
	prev  byte // the byte before pos; meaningful when pos > reset
	reset int64
	// threads are in the order of their starts, at most one a state: of two in the same state the
	// one with the earlier start covers whatever the other would.
	threads, spare []thread
	seen           []int64 // by state: pos+1 of the step that last entered it; made when it pays
	spans          []span
}

func scanAll[T string | []byte](sc *scan, text T) []span {
	feed(sc, text)
	return sc.spans
}

// feed reads more text.
func feed[T string | []byte](sc *scan, text T) {
	m := sc.m
	if len(m.states) == 0 {
		sc.pos += int64(len(text))
		return
	}
	for i := range len(text) {
		c := text[i]
		if len(sc.threads) > 0 {
			sc.step(c)
		}
		if k := uint16(sc.prev)<<8 | uint16(c); m.mayStart[k/64]&(1<<(k%64)) != 0 && sc.pos > sc.reset {
			for _, to := range m.bigrams[k] {
				sc.enter(thread{to, sc.pos - 1})
			}
		}
		if m.single[c] {
			sc.found(span{sc.pos, sc.pos + 1})
		}
		sc.prev = c
		sc.pos++
	}
}

// step moves all threads over c; those that cannot, end.
func (sc *scan) step(c byte) {
	old := sc.threads
	sc.threads = sc.spare[:0]
	for _, t := range old {
		for _, e := range sc.m.states[t.state].edges {
			if e.b == c {
				sc.enter(thread{e.to, t.from})
			}
		}
	}
	sc.spare = old
}

// enter adds t, which has just read the byte at pos, unless its state is taken.
func (sc *scan) enter(t thread) {
	if len(sc.threads) < 8 && sc.seen == nil {
		for _, other := range sc.threads {
			if other.state == t.state {
				return
			}
		}
	} else {
		if sc.seen == nil {
			sc.seen = make([]int64, len(sc.m.states))
			for _, other := range sc.threads {
				sc.seen[other.state] = sc.pos + 1
			}
		}
		if sc.seen[t.state] == sc.pos+1 {
			return
		}
		sc.seen[t.state] = sc.pos + 1
	}
	sc.threads = append(sc.threads, t)
	if sc.m.states[t.state].accept {
		sc.found(span{t.from, sc.pos + 1})
	}
}

// found adds a span that ends behind the current byte, merging it with those it overlaps.
func (sc *scan) found(s span) {
	for n := len(sc.spans); n > 0 && sc.spans[n-1].to > s.from; n-- {
		s.from = min(s.from, sc.spans[n-1].from)
		sc.spans = sc.spans[:n-1]
	}
	sc.spans = append(sc.spans, s)
}

// settled returns the offset before which nothing can change any more, whatever follows.
func (sc *scan) settled() int64 {
	at := sc.pos
	if at > sc.reset && sc.m.first[sc.prev] {
		at--
	}
	if len(sc.threads) > 0 {
		at = min(at, sc.threads[0].from)
	}
	// A span that reaches past at may yet be merged with a later one.
	for i := len(sc.spans) - 1; i >= 0 && sc.spans[i].to > at; i-- {
		at = min(at, sc.spans[i].from)
	}
	return at
}

// restart forgets what was read in part.
func (sc *scan) restart() {
	sc.threads = sc.threads[:0]
	sc.reset = sc.pos
}
