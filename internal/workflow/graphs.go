package workflow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"tutti/errs"
	"tutti/internal/document"
	"tutti/internal/workflow/dag"
	"tutti/internal/workflow/definition"
)

// graphs compiles definitions once. Graphs do not change, so all runs of a digest share one.
type graphs struct {
	mu    sync.Mutex
	known map[string]*dag.Graph // those made or used since
	older map[string]*dag.Graph // was put aside
	texts map[[32]byte]text
}

// text is a definition that was given as text.
type text struct {
	graph *dag.Graph
	doc   string // canonical
}

// text returns a text that was compiled before, so that a client which starts runs by the thousand with
// the same definition pays for it once.
func (g *graphs) text(s string) (text, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	t, ok := g.texts[sha256.Sum256([]byte(s))]
	return t, ok
}

func (g *graphs) keepText(s string, t text) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.texts == nil || len(g.texts) >= maxGraphs/4 {
		g.texts = map[[32]byte]text{}
	}
	g.texts[sha256.Sum256([]byte(s))] = t
}

// maxGraphs bounds the cache; half of it, which was not used lately, is dropped at a time. One that a run
// was just planned with stays: its document may not be stored yet.
const maxGraphs = 2000

func (g *graphs) cached(digest string) *dag.Graph {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.known[digest]
	if c == nil {
		if c = g.older[digest]; c != nil {
			g.add(digest, c)
		}
	}
	return c
}

// compile returns the graph of a canonical document that was accepted before.
func (g *graphs) compile(doc []byte, digest string) (*dag.Graph, error) {
	if c := g.cached(digest); c != nil {
		return c, nil
	}
	c, err := definition.Load(doc, digest)
	if err != nil {
		return nil, err
	}
	g.keep(digest, c)
	return c, nil
}

func (g *graphs) keep(digest string, c *dag.Graph) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.add(digest, c)
}

func (g *graphs) add(digest string, c *dag.Graph) {
	if g.known == nil || len(g.known) >= maxGraphs/2 {
		g.known, g.older = map[string]*dag.Graph{}, g.known
	}
	g.known[digest] = c
}

// byDigest returns the graph of a definition that a stored run is pinned to.
func (g *graphs) byDigest(ctx context.Context, of definitions, digest string) (*dag.Graph, error) {
	if c := g.cached(digest); c != nil {
		return c, nil
	}
	doc, err := of.definition(ctx, digest)
	if err != nil {
		return nil, readable(err)
	}
	return g.compile([]byte(doc), digest)
}

// inline compiles the document of an expansion, which a worker made: it is checked like one that a
// person applies, but for the schemas of task types.
func (g *graphs) inline(doc []byte) (*dag.Graph, error) {
	sum := sha256.Sum256(doc)
	digest := hex.EncodeToString(sum[:])
	if c := g.cached(digest); c != nil {
		return c, nil
	}
	docs, problems := document.Parse("expansion", doc)
	if len(problems) == 0 {
		var c *dag.Graph
		if c, problems = definition.Compile(docs[0], nil); len(problems) == 0 {
			g.keep(digest, c)
			return c, nil
		}
	}
	return nil, errs.New(errs.Invalid, "the expansion is not valid").WithProblems(problems...)
}
