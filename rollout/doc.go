// Package rollout plans how versions reach many targets: in waves and batches, watched, within limits of
// availability, and back again by themselves when they turn out bad. A target is anything that can be
// asked for a version and can say how it is: a service, a machine, a configuration, a customer.
//
// The package only decides. A [Rollout] is told the time and what is known of the targets of one entity
// ([Rollout.Step]) and what people ask for ([Rollout.Do]); it answers which targets are asked for which
// version ([Plan.Assignments]), what was decided about each and why, and what it waits for. It has no clock,
// does no I/O and starts no goroutine; the same calls give the same decisions on every machine, so a
// test can lead it through a year in a millisecond. [Engine] joins it to a [Store]: [Memory], or a database with
// package sqlstore, shared by any number of processes.
//
// # The model
//
// Let n be the number of targets. A turn takes one version forward, or its targets back. In a turn each
// target is
//
//	untouched ──ask──▶ pending ──healthy for Soak──▶ succeeded ──not healthy──▶ wavering
//	                      │                              ▲───healthy for Soak───────┤
//	                      └──said so, or Limit is over──▶ failed ◀──Grace is over───┘
//
// and the rollout is
//
//	          SetVersion         criterion met
//	idle ───────────────▶ rolling ─────────────▶ good        (and from each, again, with the next version)
//	                         │ breach
//	                         ├─────────▶ rolling back ──▶ reverted
//	                         └─────────▶ stopped: no way back, or Policy.OnBreach
//
// A version goes out in waves. Wave k is up to size(k) targets, Policy.Waves[k] of n, the last is n. In
// a wave no target is asked while pending + wavering ≥ Batch of n. When all of the wave are settled, the
// wave is watched for Bake, and all [Gate]s pass, the next begins; after the last the version is good.
//
// Percentages in limits are rounded to the side of safety: a batch is ⌊p·n/100⌋, but never less than one;
// what must remain is ⌈p·n/100⌉; what may fail is
//
//	tolerated(m) = m − ⌈Success·m/100⌉, or ⌊Tolerate·m/100⌋, but never all m
//
// The version is bad as soon as failed > tolerated(size(k)): with Success 100 at the first failure, and a
// failed canary is enough whatever the fleet would tolerate. It is good only when succeeded ≥ n −
// tolerated(n), nothing is pending, and nobody is left to ask. Targets that failed and then left
// still count as failed.
//
// # What holds always
//
//   - A target is asked only while fewer than Batch are changing, and, if it is available, only if no [Limit]
//     and no [Budget] is broken by one more. A target is available while it is healthy, heard of, and not
//     changing: one that has not proved itself does not count.
//   - Good is only ever a version that met its criterion, or that a person declared good. Without one,
//     a version that fails stops and says so: no target is ever asked for "".
//   - Nothing is concluded from silence. A target succeeds by a word of it from after its soak; a bake ends
//     with a report from after it. While nobody reports at all, nobody fails and nobody is forgotten.
//     With no targets no version is good.
//   - A rollback touches only targets that have the bad version, the broken first, then the newest, with no
//     soak and no bake, within the limits, and is frozen by no window. It ends: each target is back or
//     given up after Limit, and one that is held up by limits for so long stops and asks for a person.
//   - Time never goes back: a clock that does stands still. One that leaps makes waits shorter, but
//     breaks none of the above.
//   - A report that comes twice, late, or in the wrong order changes nothing that a newer one has said.
//
// # Where it comes from
//
// Waves, bake time and rollback by alarm are the practice of one-box, then one zone, then all, as large
// services describe it; the soak of a target is Kubernetes' minReadySeconds, and availability with
// maxUnavailable follows its Deployments, save that a percentage here is never rounded to nothing or to
// more. Gates of three values, where an unknown answer is no answer, and rollbacks that
// neither wait nor take down the healthy, answer what users of such systems complain of most.
//
// # Cost
//
// A step takes time in proportion to its reports and decisions, times log n; beginning a turn and
// changing the policy look at all targets once. A target takes about 140 bytes. Benchmarks: go test
// -bench . -run '^$'.
package rollout
