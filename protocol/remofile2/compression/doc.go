// Package compression makes zstd frames of payloads of Remofile 2, and payloads of frames.
//
// A side compresses a payload only where that saves time and both sides have the feature
// remofile2.FeatureZstd:
//
//   - The link is what the transfer waits for: it is known to deliver less than 128 MiB/s.
//   - It pays for the file: one payload of it is tried. As long as payloads become shorter by a
//     tenth, and compressing takes less time than the link takes for the bytes that it saves,
//     all are compressed. After one where it does not pay, 1, 2, 4, … and at last 64 payloads
//     are sent as they are before another one is tried, so that data that can't be compressed
//     costs little, and a file that changes its nature is found.
//   - It has 4 KiB or more.
//
// Each payload is compressed alone: a frame tells nothing of what others contain.
package compression
