package demo

import "sync"

// group runs things that are to run until they are told to end.
type group struct {
	wg    sync.WaitGroup
	ended chan error // of each that ended, what it returned; closed when all have
}

// run starts f. The channel must have room for all.
func (g *group) run(f func() error) {
	g.wg.Add(1)
	go func() {
		defer g.wg.Done()
		g.ended <- f()
	}()
}

// last says that no more will be started.
func (g *group) last() {
	go func() {
		g.wg.Wait()
		close(g.ended)
	}()
}
