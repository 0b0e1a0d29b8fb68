import Primitives

/// Reading and writing of messages in plain arrays, for the models of both ends.
typealias Bytes = [UInt8]

extension Bytes {
    mutating func append(uint32 value: UInt32) {
        for shift: UInt32 in [24, 16, 8, 0] { append(UInt8(truncatingIfNeeded: value >> shift)) }
    }

    mutating func append(uint16 value: UInt16) {
        append(UInt8(truncatingIfNeeded: value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }

    mutating func append(cString text: some Sequence<UInt8>) {
        append(contentsOf: text)
        append(0)
    }

    mutating func append(cString text: String) {
        append(contentsOf: text.utf8)
        append(0)
    }

    /// A whole message: its length is filled in when the body is done.
    mutating func message(_ kind: Character, _ body: (inout Bytes) -> Void = { _ in }) {
        append(kind.asciiValue ?? 0)
        let start = count
        append(uint32: 0)
        body(&self)
        let length = UInt32(truncatingIfNeeded: count - start)
        for (place, shift) in [24, 16, 8, 0].enumerated() {
            self[start + place] = UInt8(truncatingIfNeeded: length >> UInt32(shift))
        }
    }

    func uint32(at offset: Int) -> UInt32 {
        guard offset >= 0, offset + 4 <= count else { return 0 }
        return UInt32(self[offset]) << 24 | UInt32(self[offset + 1]) << 16 | UInt32(self[offset + 2]) << 8
            | UInt32(self[offset + 3])
    }

    func uint16(at offset: Int) -> Int {
        offset + 2 <= count ? Int(self[offset]) << 8 | Int(self[offset + 1]) : 0
    }

    /// The bytes up to the next zero, and the offset behind it.
    func cString(at offset: Int) -> (bytes: Bytes, next: Int) {
        withUnsafeBytes { bytes in
            let start = Swift.min(offset, bytes.count)
            var end = start
            // Eight at a time, as long as none of them is zero.
            while end + 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: end, as: UInt64.self)
                let zeroes = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
                if zeroes != 0 {
                    end += zeroes.trailingZeroBitCount / 8
                    return (Array(bytes[start..<end]), end + 1)
                }
                end += 8
            }
            while end < bytes.count, bytes[end] != 0 { end += 1 }
            return (Array(bytes[start..<end]), end + 1)
        }
    }

    /// Whether these bytes from `offset` on are `other`, to the last.
    func matches(_ other: Bytes, at offset: Int) -> Bool {
        guard offset >= 0, offset + other.count <= count else { return false }
        return withUnsafeBytes { mine in
            other.withUnsafeBytes { theirs in
                var index = 0
                while index + 8 <= theirs.count {
                    let word = theirs.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                    if mine.loadUnaligned(fromByteOffset: offset + index, as: UInt64.self) != word {
                        return false
                    }
                    index += 8
                }
                while index < theirs.count {
                    if mine[offset + index] != theirs[index] { return false }
                    index += 1
                }
                return true
            }
        }
    }

    var text: String { String(decoding: self, as: UTF8.self) }
    /// For traces and findings: printable, and not too long.
    var shown: String {
        String(decoding: prefix(160).map { $0 >= 0x20 && $0 < 0x7F ? $0 : 0x2E }, as: UTF8.self)
            + (count > 160 ? "…(\(count))" : "")
    }
}

/// Bytes that come at the end and go from the front.
struct ByteQueue {
    private var storage = Bytes()
    private var start = 0

    var count: Int { storage.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ bytes: some Sequence<UInt8>) { storage.append(contentsOf: bytes) }
    mutating func append(_ view: ByteView) { storage.append(contentsOf: view.rawBuffer) }

    mutating func removeFirst(_ number: Int) {
        start += Swift.min(number, count)
        if start == storage.count {
            storage.removeAll(keepingCapacity: storage.capacity <= 1 << 16)
            start = 0
        } else if start > 1 << 14, start * 2 > storage.count {
            storage.removeFirst(start)
            start = 0
        }
    }

    mutating func removeAll() {
        storage.removeAll(keepingCapacity: true)
        start = 0
    }

    /// At most `limit` bytes from the front.
    mutating func take(_ limit: Int) -> Bytes {
        let number = Swift.min(limit, count)
        let taken = Array(storage[start..<(start + number)])
        removeFirst(number)
        return taken
    }

    subscript(offset: Int) -> UInt8 { storage[start + offset] }

    func slice(_ offset: Int, _ length: Int) -> ArraySlice<UInt8> {
        storage[(start + offset)..<(start + offset + length)]
    }

    func withView<R>(_ body: (ByteView) -> R) -> R {
        storage.withUnsafeBytes { body(ByteView(UnsafeRawBufferPointer(rebasing: $0[start...]))) }
    }

    /// Type and whole length of the message at the front, if its header is here.
    var header: (kind: UInt8, length: Int)? {
        guard count >= 5 else { return nil }
        let length =
            Int(self[1]) << 24 | Int(self[2]) << 16 | Int(self[3]) << 8 | Int(self[4])
        return (self[0], length + 1)
    }

    /// The message at the front without type and length, when all of it is here.
    mutating func takeMessage() -> (kind: UInt8, body: Bytes)? {
        guard let header, count >= header.length, header.length >= 5 else { return nil }
        let body = Array(slice(5, header.length - 5))
        removeFirst(header.length)
        return (header.kind, body)
    }
}
