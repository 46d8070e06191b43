package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// A process in the background has so much garbage at most, in percent of the memory in use: the more, the
	// less that is. Else a mount in which little is known collects several times while a small tree is walked.
	leastGarbage = 50
	mostGarbage  = 300
	// smallGarbage is how much it may have between the two, in bytes.
	smallGarbage = 8 << 20
	// mountMemory is what a mount takes at most, in bytes, as long as it needs no more.
	mountMemory = 104 << 20
)

// saveMemory is for what stays in the background.
func saveMemory() { afterEachCollection(limitGarbage) }

// limitMemory is for a mount: near mountMemory it collects garbage more often. Where it needs more than that the
// limit grows with it: below what is in use the collector would run all the time.
func limitMemory() {
	afterEachCollection(func(used int64) {
		const slack = 3 // a third
		debug.SetMemoryLimit(max(mountMemory, used+used/slack))
	})
}

// limitGarbage sets how much garbage there may be.
func limitGarbage(used int64) {
	percent := smallGarbage * 100 / max(1, used)
	debug.SetGCPercent(int(min(max(leastGarbage, percent), mostGarbage)))
}

// afterEachCollection calls f now, and after each run of the garbage collector, with the bytes that are in use.
func afterEachCollection(f func(used int64)) {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	f(int64(live[0].Value.Uint64()))
	// The cleanup of what nobody refers to runs after each collection.
	runtime.AddCleanup(new([64]byte), afterEachCollection, f)
}
