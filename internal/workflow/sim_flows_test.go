package workflow

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"

	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

// flow is a definition that the simulator starts runs of.
type flow struct {
	name, doc, digest string
	graph             *dag.Graph
}

// called are the workflows that others call.
var called = map[string]string{
	"leaf": "kind: Workflow\nname: leaf\ntasks: {x: {use: noop, undo: {use: noop}}, y: {use: noop, needs: [x], limit: {key: leaf, max: 2}}}\noutputs: {t: '${{ tasks.x.out }}'}\n",
	"mid":  "kind: Workflow\nname: mid\nonFailure: stop\ntasks: {a: {use: noop, retry: {max: 1, wait: 1s}, undo: {use: noop}}, l: {use: 'workflow:leaf', needs: [a]}, w: {use: wait, with: {for: 3s}}}\nfinally: {f: {use: noop, onError: continue}}\n",
}

// plain are definitions that put what is hard in one place.
var plain = []string{
	"tasks: {a: {use: noop, retry: {max: 2, wait: 1s}}, b: {use: noop, needs: [a], limit: {key: lock}}, c: {use: noop, needs: [b], once: the-ip}}\n",
	"limit: {key: all, max: 2}\npriority: 3\ntasks: {a: {use: noop}, b: {use: noop, limit: {key: lock}}}\n",
	"limit: {key: all, max: 1, whenFull: replace}\ntasks: {a: {use: noop}, w: {use: wait, needs: [a], with: {for: 4s}}}\n",
	"limit: {key: all, whenFull: refuse}\ntasks: {a: {use: noop}}\n",
	"tasks: {e: {each: {in: '[1,2,3,4,5]', parallel: 2, tolerate: 1}, use: 'workflow:leaf'}, z: {use: noop, needs: [e]}}\n",
	"onFailure: undo\ntasks: {m: {use: 'workflow:mid'}, a: {use: noop, needs: [m], undo: {use: noop}}, b: {use: noop, needs: [a]}}\n",
	"onFailure: pause\ntasks: {a: {use: noop, limit: {key: lock, hold: true}}, s: {use: signal, with: {name: go}}, b: {use: noop, needs: [a, s], onError: pause}}\n",
	"tasks: {ok: {use: approval, timeout: 40s, limit: {key: k, max: 2}}, a: {use: noop, needs: [ok], once: the-ip}}\n",
	"tasks: {e: {each: {in: '[1,2,3]'}, use: noop, limit: {key: lock, max: 2}, once: 'item-${{ item }}'}}\n",
	"deadline: 30s\ntasks: {g: {timeout: 9s, retry: {max: 2, wait: 1s}, tasks: {a: {use: noop}, b: {use: 'workflow:leaf', needs: [a]}}}, z: {use: noop, after: [g]}}\nfinally: {f: {use: noop}}\n",
	"tasks: {a: {use: noop, limit: {key: lock, whenFull: replace}}, b: {use: noop, needs: [a], deadline: 20s, retry: {max: 3, wait: 2s}}}\n",
	"tasks: {e: {each: {in: '[1,2,3]', parallel: 2}, onError: pause, deadline: 15s, tasks: {a: {use: noop}, b: {use: 'workflow:leaf', needs: [a]}}}, z: {use: noop, needs: [e]}}\n",
	"onFailure: pause\nlimit: {key: all}\ntasks: {e: {each: {in: '[1,2]'}, onError: pause, deadline: 20s, use: 'workflow:mid'}, s: {use: signal, timeout: 20s, with: {name: go}}}\n",
	"tasks: {e: {each: {in: '[1,2,3,4,5]', waves: [1, 60%], parallel: 2, tolerate: 1, bake: 3s, checks: {c: {use: noop}}, onBreach: undo}, tasks: {a: {use: noop, undo: {use: noop}}, b: {use: 'workflow:leaf', needs: [a]}}}, z: {use: noop, needs: [e]}}\n",
	"onFailure: undo\ntasks: {e: {each: {in: '[1,2,3]', waves: [1], gate: 'wave.failed == 0', tolerate: 1, onBreach: pause}, use: 'workflow:leaf', deadline: 40s}, z: {use: noop, needs: [e]}}\n",
	"tasks: {a: {use: emit, with: {type: x}}, m: {use: 'workflow:mid', retry: {max: 1, wait: 1s}, onError: continue}, n: {use: 'workflow:mid', after: [m], timeout: 20s}}\n",
}

// drawn is how many random definitions there are beside the plain ones.
const drawn = 150

// flows compiles the definitions once. They depend on no seed, so that a seed stays what it is.
var flows = sync.OnceValue(func() (out []flow) {
	for i, text := range plain {
		out = append(out, compileFlow(fmt.Sprintf("plain%d", i), text))
	}
	for i := range drawn {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		out = append(out, compileFlow(fmt.Sprintf("drawn%d", i), draw(r)))
	}
	return out
})

var calledFlows = sync.OnceValue(func() map[string]flow {
	out := map[string]flow{}
	for name, text := range called {
		_, text, _ = strings.Cut(text, "name: "+name+"\n")
		out[name] = compileFlow(name, text)
	}
	return out
})

func compileFlow(name, text string) flow {
	docs, problems := document.Parse(name, []byte("kind: Workflow\nname: "+name+"\n"+text))
	if len(problems) > 0 {
		panic(fmt.Sprintf("%s\n%v", text, problems))
	}
	g, err := definition.Load(docs[0].JSON, docs[0].Digest)
	if err != nil {
		panic(fmt.Sprintf("%s\n%v", text, err))
	}
	return flow{name, string(docs[0].JSON), docs[0].Digest, g}
}

// draw makes a definition.
func draw(r *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintf(&b, "onFailure: %s\n", pick(r, "drain", "stop", "undo", "pause"))
	if r.IntN(4) == 0 {
		fmt.Fprintf(&b, "limit: {key: %s, max: %d}\n", pick(r, "all", "some"), 1+r.IntN(3))
	}
	b.WriteString("tasks:\n")
	drawScope(r, &b, "  ", "t", 0)
	if r.IntN(2) == 0 {
		b.WriteString("finally: {bye: {use: noop, onError: continue}}\n")
	}
	return b.String()
}

func pick(r *rand.Rand, of ...string) string { return of[r.IntN(len(of))] }

func drawScope(r *rand.Rand, b *strings.Builder, indent, prefix string, depth int) {
	for i := range 1 + r.IntN(4) {
		fmt.Fprintf(b, "%s%s%d:\n", indent, prefix, i)
		in := indent + "  "
		line := func(format string, args ...any) { fmt.Fprintf(b, in+format+"\n", args...) }
		if i > 0 && r.IntN(3) > 0 {
			line("%s: [%s%d]", pick(r, "needs", "after"), prefix, r.IntN(i))
		}
		if r.IntN(5) == 0 {
			line("each: {in: \"['a','b','c']\", as: x%s%d, key: x%s%d, parallel: %d, tolerate: %d}", prefix, i, prefix, i, r.IntN(3), r.IntN(3))
		}
		if r.IntN(3) == 0 {
			line("retry: {max: %d, wait: 1s, if: \"true\"}", 1+r.IntN(3))
		}
		if r.IntN(5) == 0 {
			line("onError: %s", pick(r, "continue", "pause"))
		}
		if r.IntN(6) == 0 {
			line("timeout: %ds", 2+r.IntN(20))
		}
		if r.IntN(10) == 0 {
			line("deadline: %ds", 5+r.IntN(40))
		}
		if r.IntN(5) == 0 {
			line("limit: {key: %s, max: %d, whenFull: %s, hold: %v}", pick(r, "lock", "k", "l"), 1+r.IntN(3), pick(r, "queue", "queue", "queue", "refuse", "replace"), r.IntN(2) == 0)
		}
		drawUse(r, b, in, prefix, depth)
	}
}

func drawUse(r *rand.Rand, b *strings.Builder, in, prefix string, depth int) {
	line := func(format string, args ...any) { fmt.Fprintf(b, in+format+"\n", args...) }
	switch k := r.IntN(14); {
	case k == 0 && depth < 2:
		line("tasks:")
		drawScope(r, b, in+"  ", prefix+"g", depth+1)
	case k == 1:
		line("use: wait")
		line("with: {for: %ds}", 1+r.IntN(8))
	case k == 2:
		line("when: \"false\"")
		line("use: noop")
	case k == 3:
		line("use: approval")
		line("with: {onExpiry: %s}", pick(r, "fail", "approve", "reject"))
	case k == 4:
		line("use: signal")
		line("with: {name: go}")
	case k < 7:
		line("use: 'workflow:%s'", pick(r, "leaf", "mid"))
	case k == 7:
		line("once: %s", pick(r, "one", "two"))
		line("use: noop")
	default:
		line("use: noop")
		if r.IntN(2) == 0 {
			line("undo: {use: noop}")
		}
	}
}
