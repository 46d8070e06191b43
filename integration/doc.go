// Package integration holds the end-to-end tests and the benchmarks: the real
// binary, real mounts, real programs and foreign peers.
package integration
