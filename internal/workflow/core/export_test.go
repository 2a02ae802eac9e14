package core

// FirstWaits returns the path of the first node that waits, by going through all of them; "" is none.
func FirstWaits(r *Run) string {
	for _, n := range r.order {
		if n.waits() && n.reason != nil {
			return n.path
		}
	}
	return ""
}
