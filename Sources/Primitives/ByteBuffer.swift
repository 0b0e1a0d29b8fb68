/// Bytes we write: grows as needed, keeps its room when emptied, so that a warm one allocates nothing.
public struct ByteBuffer: ~Copyable {
    @usableFromInline var base: UnsafeMutableRawPointer
    @usableFromInline var capacity: Int
    /// Bytes written so far.
    public private(set) var count: Int = 0

    public init(capacity: Int = 256) {
        self.capacity = max(capacity, 16)
        base = .allocate(byteCount: self.capacity, alignment: 8)
    }

    deinit { base.deallocate() }

    public var isEmpty: Bool { count == 0 }
    public var view: ByteView { ByteView(base: base, count: count) }

    /// The bytes of a range that was noted while they were written.
    public func view(_ range: ByteRange) -> ByteView { view.slice(Int(range.offset), Int(range.count)) }

    /// Forgets the bytes. Room beyond `keeping` bytes is given back.
    public mutating func removeAll(keeping: Int = Int.max) {
        count = 0
        if capacity > keeping {
            base.deallocate()
            capacity = max(keeping, 16)
            base = .allocate(byteCount: capacity, alignment: 8)
        }
    }

    /// Takes back the bytes behind `length`.
    public mutating func truncate(to length: Int) {
        precondition(length >= 0 && length <= count)
        count = length
    }

    public mutating func append(_ byte: UInt8) {
        reserve(1)
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count &+= 1
    }

    public mutating func append(_ view: ByteView) {
        guard view.count > 0 else { return }
        reserve(view.count)
        (base + count).copyMemory(from: view.base, byteCount: view.count)
        count &+= view.count
    }

    public mutating func append(_ string: ByteString) { string.withView { append($0) } }

    public mutating func append(_ text: StaticString) {
        append(ByteView(base: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    public mutating func append(_ text: String) {
        var text = text
        text.withUTF8 { append(ByteView(UnsafeRawBufferPointer($0))) }
    }

    public mutating func append(uint16 value: UInt16) {
        reserve(2)
        base.storeBytes(of: value.bigEndian, toByteOffset: count, as: UInt16.self)
        count &+= 2
    }

    public mutating func append(uint32 value: UInt32) {
        reserve(4)
        base.storeBytes(of: value.bigEndian, toByteOffset: count, as: UInt32.self)
        count &+= 4
    }

    /// A decimal number in ASCII.
    public mutating func append(decimal value: some BinaryInteger) { append(String(value)) }

    /// A decimal number in ASCII; on the path of a query.
    public mutating func append(decimal value: UInt32) {
        var length = 1
        var rest = value
        while rest >= 10 {
            rest /= 10
            length &+= 1
        }
        reserve(length)
        var place = count &+ length
        rest = value
        repeat {
            place &-= 1
            base.storeBytes(of: 0x30 &+ UInt8(rest % 10), toByteOffset: place, as: UInt8.self)
            rest /= 10
        } while rest > 0
        count &+= length
    }

    /// Overwrites four bytes written before.
    public mutating func set(uint32 value: UInt32, at offset: Int) {
        precondition(offset >= 0 && offset + 4 <= count)
        base.storeBytes(of: value.bigEndian, toByteOffset: offset, as: UInt32.self)
    }

    private mutating func reserve(_ more: Int) {
        if count &+ more > capacity { grow(count + more) }
    }

    @inline(never)
    private mutating func grow(_ needed: Int) {
        let larger = max(needed, capacity * 2)
        let moved = UnsafeMutableRawPointer.allocate(byteCount: larger, alignment: 8)
        moved.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = moved
        capacity = larger
    }
}
