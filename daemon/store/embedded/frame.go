package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A file is a header and frames. A frame is
//
//	mark (4) | length of the payload (4) | CRC-32C (4) | payload
//
// with the CRC over the place of the frame in the file, the length and the payload,
// so that a frame is sound only where it was written. A payload is records, each
//
//	time in ms (8) | number of arguments (uvarint) | for each its length (uvarint) and bytes
//
// Fixed numbers are little endian.

const (
	frameMark   = 0x4b525053 // "SPRK"
	frameHead   = 12
	headerSize  = 16
	journalHead = "spark journal 1\n"
	snapHead    = "spark snapshot1\n"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn means that the rest of a file is a frame that was not written whole.
var errTorn = errors.New("torn frame")

// damageError means that a frame in the middle of a file is not what was written.
type damageError struct {
	Offset int64
	Reason string
}

func (e *damageError) Error() string {
	return fmt.Sprintf("damaged at byte %d: %s", e.Offset, e.Reason)
}

// sealFrame fills in the head of a frame that will stand at offset. The first
// frameHead bytes are the head, the rest the payload.
func sealFrame(frame []byte, offset int64) {
	binary.LittleEndian.PutUint32(frame[0:], frameMark)
	binary.LittleEndian.PutUint32(frame[4:], uint32(len(frame)-frameHead))
	binary.LittleEndian.PutUint32(frame[8:], frameSum(frame, offset))
}

func frameSum(frame []byte, offset int64) uint32 {
	var place [8]byte
	binary.LittleEndian.PutUint64(place[:], uint64(offset))
	sum := crc32.Update(0, castagnoli, place[:])
	sum = crc32.Update(sum, castagnoli, frame[4:8])
	return crc32.Update(sum, castagnoli, frame[frameHead:])
}

// frameAt returns the sound frame at offset, or nil.
func frameAt(data []byte, offset int) []byte {
	rest := data[offset:]
	if len(rest) < frameHead || binary.LittleEndian.Uint32(rest) != frameMark {
		return nil
	}
	n := int64(binary.LittleEndian.Uint32(rest[4:]))
	if n == 0 || n > int64(len(rest)-frameHead) {
		return nil
	}
	frame := rest[:frameHead+int(n)]
	if frameSum(frame, int64(offset)) != binary.LittleEndian.Uint32(frame[8:]) {
		return nil
	}
	return frame
}

// appendRecord adds a record to a payload.
func appendRecord(b []byte, ms int64, args []string) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(ms))
	b = binary.AppendUvarint(b, uint64(len(args)))
	for _, a := range args {
		b = binary.AppendUvarint(b, uint64(len(a)))
		b = append(b, a...)
	}
	return b
}

// nextRecord takes the first record off a payload.
func nextRecord(b []byte) (ms int64, args []string, rest []byte, err error) {
	bad := errors.New("record is not what it should be")
	if len(b) < 8 {
		return 0, nil, nil, bad
	}
	ms, b = int64(binary.LittleEndian.Uint64(b)), b[8:]
	n, size := binary.Uvarint(b)
	if size <= 0 || n == 0 || n > uint64(len(b)) {
		return 0, nil, nil, bad
	}
	b = b[size:]
	args = make([]string, 0, min(n, 64))
	for range n {
		length, size := binary.Uvarint(b)
		if size <= 0 || length > uint64(len(b)-size) {
			return 0, nil, nil, bad
		}
		args = append(args, string(b[size:size+int(length)]))
		b = b[size+int(length):]
	}
	return ms, args, b, nil
}

// readFrames calls each for every record of a file's contents and returns where the
// sound frames end. Its error is [errTorn] when only a frame that was not written
// whole follows, a [*damageError] when a later frame is sound, or each's.
func readFrames(data []byte, header string, each func(ms int64, args []string) error) (end int, err error) {
	if len(data) < headerSize {
		return 0, errTorn
	}
	if string(data[:headerSize]) != header {
		return 0, &damageError{Reason: fmt.Sprintf("does not begin with %q", header)}
	}
	for end = headerSize; end < len(data); {
		frame := frameAt(data, end)
		if frame == nil {
			for later := end + 1; later <= len(data)-frameHead; later++ {
				if frameAt(data, later) != nil {
					return end, &damageError{int64(end), fmt.Sprintf("what follows is not a frame, but there is one at byte %d", later)}
				}
			}
			return end, errTorn
		}
		for payload := frame[frameHead:]; len(payload) > 0; {
			ms, args, rest, err := nextRecord(payload)
			if err != nil {
				return end, &damageError{int64(end), err.Error()}
			}
			if err := each(ms, args); err != nil {
				return end, err
			}
			payload = rest
		}
		end += len(frame)
	}
	return end, nil
}
