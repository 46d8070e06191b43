package main

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// garbagePercent is how much garbage a process in the background has at most, in percent of the memory
	// in use.
	garbagePercent = 50
	// mountMemory is what a mount takes at most, in bytes, as long as it needs no more.
	mountMemory = 104 << 20
)

// saveMemory is for what stays in the background.
func saveMemory() { debug.SetGCPercent(garbagePercent) }

// limitMemory is for a mount: near mountMemory it collects garbage more often. Where it needs more than that the
// limit grows with it: below what is in use the collector would run all the time.
func limitMemory() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	const slack = 3 // a third
	used := int64(live[0].Value.Uint64())
	debug.SetMemoryLimit(max(mountMemory, used+used/slack))
	// The cleanup of what nobody refers to runs after each collection.
	runtime.AddCleanup(new([64]byte), func(int) { limitMemory() }, 0)
}
