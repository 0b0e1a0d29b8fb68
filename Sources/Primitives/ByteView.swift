/// A window on bytes that somebody else owns: the receive buffer of a link, the scratch space of an action
/// list.
///
/// Valid only for the duration of the call it was handed to; whoever needs the bytes longer copies them
/// into a `ByteString`. Every read is checked and answers `nil` when it would leave the window: input from
/// outside can never reach a trap through it (I9).
@frozen
public struct ByteView {
    public let base: UnsafeRawPointer
    /// Bytes in the window; never negative.
    public let count: Int

    @inlinable
    public init(base: UnsafeRawPointer, count: Int) {
        precondition(count >= 0)
        self.base = base
        self.count = count
    }

    @inlinable
    public init(_ buffer: UnsafeRawBufferPointer) {
        if let base = buffer.baseAddress {
            self.init(base: base, count: buffer.count)
        } else {
            self.init(base: UnsafeRawPointer(bitPattern: 1)!, count: 0)
        }
    }

    @inlinable public var isEmpty: Bool { count == 0 }

    @inlinable
    public subscript(offset: Int) -> UInt8? {
        guard offset >= 0, offset < count else { return nil }
        return base.load(fromByteOffset: offset, as: UInt8.self)
    }

    /// Big-endian, as everything in PostgreSQL's protocol.
    @inlinable
    public func uint16(at offset: Int) -> UInt16? {
        guard offset >= 0, offset <= count &- 2 else { return nil }
        return UInt16(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt16.self))
    }

    /// Big-endian, as everything in PostgreSQL's protocol.
    @inlinable
    public func uint32(at offset: Int) -> UInt32? {
        guard offset >= 0, offset <= count &- 4 else { return nil }
        return UInt32(bigEndian: base.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    }

    /// The part from `offset` on, at most `length` bytes; empty when the window ends before it.
    @inlinable
    public func slice(_ offset: Int, _ length: Int = Int.max) -> ByteView {
        guard offset >= 0, offset < count, length > 0 else { return ByteView(base: base, count: 0) }
        return ByteView(base: base + offset, count: min(length, count &- offset))
    }

    /// Offset of the first byte with this value at or after `offset`.
    @inlinable
    public func firstIndex(of byte: UInt8, from offset: Int = 0) -> Int? {
        guard offset >= 0 else { return nil }
        var index = offset
        // Eight at a time: a byte that is the one looked for becomes zero, and only a zero byte borrows from
        // its highest bit.
        let ones: UInt64 = 0x0101_0101_0101_0101
        let pattern = UInt64(byte) &* ones
        while index <= count &- 8 {
            let word =
                UInt64(littleEndian: base.loadUnaligned(fromByteOffset: index, as: UInt64.self)) ^ pattern
            let zeroes = (word &- ones) & ~word & (ones << 7)
            if zeroes != 0 { return index &+ zeroes.trailingZeroBitCount / 8 }
            index &+= 8
        }
        while index < count {
            if base.load(fromByteOffset: index, as: UInt8.self) == byte { return index }
            index &+= 1
        }
        return nil
    }

    /// A zero-terminated string that starts at `offset`, without its terminator, and the offset behind the
    /// terminator; `nil` when there is no terminator.
    @inlinable
    public func cString(at offset: Int) -> (bytes: ByteView, next: Int)? {
        guard let end = firstIndex(of: 0, from: offset) else { return nil }
        return (slice(offset, end &- offset), end &+ 1)
    }

    @inlinable
    public func equals(_ other: ByteView) -> Bool {
        guard count == other.count else { return false }
        var index = 0
        while index &+ 8 <= count {
            if base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
                != other.base.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            {
                return false
            }
            index &+= 8
        }
        while index < count {
            if base.load(fromByteOffset: index, as: UInt8.self)
                != other.base.load(fromByteOffset: index, as: UInt8.self)
            {
                return false
            }
            index &+= 1
        }
        return true
    }

    @inlinable
    public func equals(_ literal: StaticString) -> Bool {
        equals(ByteView(base: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    @inlinable
    public func hasPrefix(_ literal: StaticString) -> Bool {
        count >= literal.utf8CodeUnitCount
            && slice(0, literal.utf8CodeUnitCount).equals(literal)
    }

    /// ASCII letters compare without case, all other bytes as they are.
    @inlinable
    public func equalsIgnoringASCIICase(_ other: ByteView) -> Bool {
        guard count == other.count else { return false }
        for index in 0..<count {
            let a = base.load(fromByteOffset: index, as: UInt8.self)
            let b = other.base.load(fromByteOffset: index, as: UInt8.self)
            if a.asciiLowercased != b.asciiLowercased { return false }
        }
        return true
    }

    @inlinable
    public func equalsIgnoringASCIICase(_ literal: StaticString) -> Bool {
        equalsIgnoringASCIICase(ByteView(base: literal.utf8Start, count: literal.utf8CodeUnitCount))
    }

    /// Whether these lower-case ASCII letters stand anywhere in the bytes, in either case.
    public func containsIgnoringASCIICase(_ word: StaticString) -> Bool {
        let length = word.utf8CodeUnitCount
        guard length > 0, count >= length else { return length == 0 }
        let first = word.utf8Start[0]
        for start in 0...(count - length)
        where base.load(fromByteOffset: start, as: UInt8.self).asciiLowercased == first {
            if slice(start, length).equalsIgnoringASCIICase(word) { return true }
        }
        return false
    }

    @inlinable public var rawBuffer: UnsafeRawBufferPointer { .init(start: base, count: count) }

    /// For our own texts and for printing; never for comparing names.
    public var lossyText: String { String(decoding: rawBuffer, as: UTF8.self) }
}

extension UInt8 {
    @inlinable public var asciiLowercased: UInt8 { self >= 0x41 && self <= 0x5A ? self &+ 0x20 : self }
}

/// A range of a buffer, in bytes; what actions name instead of holding bytes.
@frozen
public struct ByteRange: Equatable, BitwiseCopyable, Sendable {
    public var offset: UInt32
    public var count: UInt32
    @inlinable
    public init(offset: Int, count: Int) {
        self.offset = UInt32(truncatingIfNeeded: offset)
        self.count = UInt32(truncatingIfNeeded: count)
    }
    @inlinable public var end: Int { Int(offset) + Int(count) }
}
