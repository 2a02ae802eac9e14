package redact

import "io"

// Writer redacts a stream: it finds secrets across the borders of writes. It holds back only what
// may be the beginning of a secret, so never more than the longest form of the longest secret
// (or of several that overlap). It is not safe for concurrent use.
type Writer struct {
	w    io.Writer
	sc   scan
	held []byte // what was read but not written
	base int64  // the offset of held's first byte
	err  error
}

// Writer returns a Writer to w. Call Flush at the end of the stream.
func (r *Redactor) Writer(w io.Writer) *Writer { return &Writer{w: w, sc: scan{m: &r.m}} }

// Write takes all of p, and writes to the underlying writer what is certain by now. An error of
// the underlying writer is returned from then on.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	feed(&w.sc, p)
	w.held = append(w.held, p...)
	if w.release(w.sc.settled()); w.err != nil {
		return 0, w.err
	}
	return len(p), nil
}

// Flush writes what was held back, because the stream ends here. After it a new stream begins: a
// secret half before and half after a Flush is not found.
func (w *Writer) Flush() error {
	if w.err == nil {
		w.sc.restart()
		w.release(w.sc.pos)
	}
	return w.err
}

// release writes everything before the offset to, which lies in no span.
func (w *Writer) release(to int64) {
	if to == w.base {
		return
	}
	out := make([]byte, 0, to-w.base+int64(len(Mask)))
	at, used := w.base, 0
	for _, s := range w.sc.spans {
		if s.to > to {
			break
		}
		out = append(out, w.held[at-w.base:s.from-w.base]...)
		out = append(out, Mask...)
		at = s.to
		used++
	}
	out = append(out, w.held[at-w.base:to-w.base]...)
	w.sc.spans = append(w.sc.spans[:0], w.sc.spans[used:]...)
	w.held = append(w.held[:0], w.held[to-w.base:]...)
	w.base = to
	_, w.err = w.w.Write(out)
}
