package logs

import (
	"cmp"
	"slices"
)

// spans are numbers as closed intervals, sorted and apart: {{1, 120}, {130, 140}}.
type spans [][2]int64

// has reports whether n is among the numbers.
func (s spans) has(n int64) bool {
	i, _ := slices.BinarySearchFunc(s, n, func(span [2]int64, n int64) int { return cmp.Compare(span[1], n) })
	return i < len(s) && s[i][0] <= n
}

// with returns the numbers of s and ns together.
func (s spans) with(ns ...int64) spans {
	all := slices.Clone(s)
	for _, n := range ns {
		all = append(all, [2]int64{n, n})
	}
	slices.SortFunc(all, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	var out spans
	for _, span := range all {
		if n := len(out); n > 0 && span[0] <= out[n-1][1]+1 {
			out[n-1][1] = max(out[n-1][1], span[1])
			continue
		}
		out = append(out, span)
	}
	return out
}
