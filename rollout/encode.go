package rollout

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// format is the version of what is stored. A later one reads all earlier ones.
const format = 1

// Change is what a Rollout has to store: all of it the first time, what is new after that.
type Change struct {
	// Head is the state of the rollout without its targets.
	Head []byte
	// Targets are the targets that changed or left, those that left first.
	Targets []Record
	// Events are the transitions since the last change.
	Events []Event
}

// Record is one stored target.
type Record struct {
	Target
	// Data is what is kept of it; nil says that it left.
	Data []byte
}

// changes is what has not been handed out by Changes.
type changes struct {
	tracked bool // Changes has been called: until then everything is new, and nothing need be noted
	dirty   []uint32
	left    []Target
	events  []Event
}

func (c *changes) note(e Event) {
	if c.tracked {
		c.events = append(c.events, e)
	}
}

func (c *changes) remove(t Target) {
	if c.tracked {
		c.left = append(c.left, t)
	}
}

// dirty notes that a target has to be stored.
func (r *Rollout) dirty(id uint32) {
	if t := &r.targets[id]; r.changes.tracked && !t.is(flagDirty) {
		t.set(flagDirty, true)
		r.changes.dirty = append(r.changes.dirty, id)
	}
}

// Changes returns what has to be stored since the last call, and from the first call on keeps track
// of it. When a target was last heard of is stored only every quarter of Policy.Forget where nothing
// else changed.
func (r *Rollout) Changes() Change {
	r.ready()
	c := Change{Head: r.encodeHead(), Events: r.changes.events}
	if !r.changes.tracked {
		r.changes.tracked = true
		c.Events = r.log
		for id := range r.targets {
			if t := &r.targets[id]; t.is(flagUsed) {
				c.Targets = append(c.Targets, Record{r.nameOf(t), r.encodeTarget(t)})
			}
		}
		return c
	}
	for _, left := range r.changes.left {
		c.Targets = append(c.Targets, Record{Target: left})
	}
	for _, id := range r.changes.dirty {
		t := &r.targets[id]
		t.set(flagDirty, false)
		if t.is(flagUsed) {
			c.Targets = append(c.Targets, Record{r.nameOf(t), r.encodeTarget(t)})
		}
	}
	r.changes.dirty, r.changes.left, r.changes.events = nil, nil, nil
	return c
}

func (r *Rollout) encodeHead() []byte {
	r.head.Format = format
	data, err := json.Marshal(&r.head)
	if err != nil {
		panic("rollout: a head that cannot be JSON: " + err.Error()) // it holds nothing that cannot
	}
	return data
}

// The flags of a record.
const (
	recordSilent = 1 << iota
	recordHeld
)

// encodeTarget writes the record of t: a byte each for the format, flags, health and outcome, numbers
// as varints, texts with their lengths, labels sorted.
func (r *Rollout) encodeTarget(t *target) []byte {
	var flags byte
	if t.is(flagSilent) {
		flags |= recordSilent
	}
	if t.is(flagHeld) {
		flags |= recordHeld
	}
	b := make([]byte, 0, 64)
	b = append(b, format, flags, byte(t.health), byte(t.outcome))
	for _, n := range [...]int64{t.at, t.heard - t.at, t.since, t.asked, int64(t.priority)} {
		b = binary.AppendVarint(b, n)
	}
	for _, n := range [...]uint32{t.arrival, t.seq, t.turn} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, s := range [...]string{r.versions.texts[t.version], r.versions.texts[t.wanted], r.messages.texts[t.message]} {
		b = appendText(b, s)
	}
	labels := r.classes[t.class].labels
	b = binary.AppendUvarint(b, uint64(len(labels)))
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		b = appendText(appendText(b, k), labels[k])
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// MarshalBinary returns everything, for UnmarshalBinary. The error is always nil.
func (r *Rollout) MarshalBinary() ([]byte, error) {
	r.ready()
	head := r.encodeHead()
	b := append([]byte(magic), format)
	b = append(binary.AppendUvarint(b, uint64(len(head))), head...)
	b = binary.AppendUvarint(b, uint64(r.Len()))
	for _, id := range r.byArrival() {
		t := &r.targets[id]
		name, data := r.nameOf(t), r.encodeTarget(t)
		b = appendText(appendText(b, name.Group), name.Name)
		b = append(binary.AppendUvarint(b, uint64(len(data))), data...)
	}
	return b, nil
}

// magic begins what MarshalBinary returns.
const magic = "rollout"

func (r *Rollout) byArrival() []uint32 {
	ids := make([]uint32, 0, r.Len())
	for id := range r.targets {
		if r.targets[id].is(flagUsed) {
			ids = append(ids, uint32(id))
		}
	}
	slices.SortFunc(ids, func(a, b uint32) int { return cmp.Compare(r.targets[a].arrival, r.targets[b].arrival) })
	return ids
}

// UnmarshalBinary replaces r by what MarshalBinary returned. An error leaves r as it was.
func (r *Rollout) UnmarshalBinary(data []byte) error {
	d := decoder{b: data}
	if string(d.bytes(len(magic))) != magic {
		return errors.New("rollout: this is no stored rollout")
	}
	if f := d.byte(); d.err == nil && f != format {
		return fmt.Errorf("rollout: format %d is not known, only %d", f, format)
	}
	c := Change{Head: d.bytes(d.length())}
	n := d.length() // at most as many as there are bytes, so a lie costs no memory
	for range n {
		if d.err != nil {
			break
		}
		c.Targets = append(c.Targets, Record{Target{Group: d.text(), Name: d.text()}, d.bytes(d.length())})
	}
	if d.err == nil && len(d.b) > 0 {
		d.err = errors.New("there is something after the end")
	}
	if d.err != nil {
		return fmt.Errorf("rollout: %w", d.err)
	}
	next, err := Load(c)
	if err != nil {
		return err
	}
	next.changes.tracked = false
	*r = *next
	return nil
}

// Load returns the Rollout that was stored: the last Head, and of each target the last Record. It
// keeps track of changes from there on.
func Load(c Change) (*Rollout, error) {
	r := &Rollout{}
	r.ready()
	if err := json.Unmarshal(c.Head, &r.head); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	if err := r.head.check(); err != nil {
		return nil, fmt.Errorf("rollout: %w", err)
	}
	r.now = r.head.Now
	r.rolling, r.good = r.versions.take(r.head.Rolling), r.versions.take(r.head.Good)
	r.targets = make([]target, 0, len(c.Targets))
	for _, rec := range c.Targets {
		if rec.Data == nil {
			continue
		}
		if err := r.decodeTarget(rec); err != nil {
			return nil, fmt.Errorf("rollout: target %s: %w", rec.Target, err)
		}
	}
	slices.SortFunc(r.targets, func(a, b target) int { return cmp.Compare(a.arrival, b.arrival) })
	for id := range r.targets {
		t := &r.targets[id]
		if id > 0 && t.arrival == r.targets[id-1].arrival || r.find(r.groupOf(t), t.name) != none {
			return nil, fmt.Errorf("rollout: target %s is there twice", r.nameOf(t))
		}
		r.insert(uint32(id))
	}
	r.listAll()
	r.rebuild()
	r.changes.tracked = true
	return r, nil
}

// listAll puts the targets into their lists, the longest unheard first.
func (r *Rollout) listAll() {
	ids := make([]uint32, len(r.targets))
	for id := range r.targets {
		ids[id] = uint32(id)
		t := &r.targets[id]
		t.due = r.dueOf(t)
	}
	slices.SortFunc(ids, func(a, b uint32) int {
		return cmp.Or(cmp.Compare(r.targets[a].heard, r.targets[b].heard), cmp.Compare(a, b))
	})
	for _, id := range ids {
		r.push(r.hearing(&r.targets[id]), id)
	}
}

// check refuses a head that no Rollout can have written.
func (h *head) check() error {
	moving := h.State != Idle
	switch {
	case h.Format != format:
		return fmt.Errorf("format %d is not known, only %d", h.Format, format)
	case h.State > Stopped:
		return fmt.Errorf("there is no state %d", h.State)
	case moving && h.Rolling == "":
		return fmt.Errorf("%s without a version", h.State)
	case (h.State == RollingBack || h.State == Reverted) && (h.Good == "" || !h.Back):
		return fmt.Errorf("%s without a version to go back to", h.State)
	case (h.State == Rolling || h.State == Good || h.State == Idle) && h.Back:
		return fmt.Errorf("%s backward", h.State)
	case h.State == Stopped && h.Stopped == nil:
		return errors.New("stopped without a reason")
	case h.Now > latest || h.Heard > h.Now || h.Others > h.Now || h.Began > h.Now || h.Settled > h.Now || h.Moved > h.Now:
		return errors.New("a time is in the future")
	case h.Wave < 0 || h.Wave >= h.Policy.waves() || h.Lost < 0 || h.Forgiven < 0 || h.Base < 0 || len(h.Bad) > maxBad:
		return errors.New("a count is out of range")
	}
	return h.Policy.Check()
}

func (r *Rollout) decodeTarget(rec Record) error {
	d := decoder{b: rec.Data}
	if f := d.byte(); d.err == nil && f != format {
		return fmt.Errorf("format %d is not known, only %d", f, format)
	}
	flags := d.byte()
	t := target{name: rec.Name, health: Health(d.byte()), outcome: Outcome(d.byte()), flags: flagUsed, pos: none}
	t.set(flagSilent, flags&recordSilent != 0)
	t.set(flagHeld, flags&recordHeld != 0)
	t.at = d.varint()
	t.heard = t.at + d.varint()
	t.since, t.asked = d.varint(), d.varint()
	priority := d.varint()
	t.priority = int32(priority)
	t.arrival, t.seq, t.turn = d.uint32(), d.uint32(), d.uint32()
	version, wanted, message := d.text(), d.text(), d.text()
	var labels map[string]string
	for range d.length() {
		if d.err != nil {
			break
		}
		if labels == nil {
			labels = map[string]string{}
		}
		k := d.text()
		labels[k] = d.text()
	}
	switch {
	case d.err != nil:
		return d.err
	case len(d.b) > 0:
		return errors.New("there is something after the end")
	case t.health > Unsure || t.outcome > Failing || int64(t.priority) != priority || flags > recordSilent|recordHeld:
		return errors.New("a value is out of range")
	case t.at > r.now || t.heard > r.now || t.since > r.now || t.asked > r.now:
		return errors.New("a time is in the future")
	case t.turn > r.head.Turn || t.arrival > r.head.Arrival:
		return errors.New("it is newer than its rollout")
	}
	t.version, t.wanted, t.message = r.versions.take(version), r.versions.take(wanted), r.messages.take(message)
	t.class = r.classOf(rec.Group, labels)
	r.targets = append(r.targets, t)
	return nil
}

// decoder reads from b and keeps the first error.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail() {
	if d.err == nil {
		d.err = errors.New("it ends too early, or holds a number out of range")
	}
	d.b = nil
}

func (d *decoder) bytes(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	if v > 1<<32-1 {
		d.fail()
	}
	return uint32(v)
}

// length reads a number of bytes or of things of at least a byte each.
func (d *decoder) length() int {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) text() string { return string(d.bytes(d.length())) }
