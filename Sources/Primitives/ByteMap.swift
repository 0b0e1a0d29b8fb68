/// A map from byte strings to small values that can be asked with a borrowed view: a look-up copies nothing.
/// Open addressing, seeded hash; an empty map owns no memory.
public struct ByteMap<Value: BitwiseCopyable>: ~Copyable {
    private struct Entry {
        var hash: UInt32
        var keyCount: UInt32
        var key: UnsafeMutableRawPointer?
        var value: Value
    }

    private var entries: UnsafeMutablePointer<Entry>?
    private var capacity = 0
    public private(set) var count = 0
    private let seed: UInt64

    /// `seed` should be unpredictable where the keys come from outside.
    public init(seed: UInt64) { self.seed = seed }

    deinit {
        for place in 0..<capacity { entries![place].key?.deallocate() }
        entries?.deallocate()
    }

    public var isEmpty: Bool { count == 0 }

    public func value(_ key: ByteView) -> Value? {
        guard let place = place(of: key, hash: hash(key)) else { return nil }
        return entries![place].value
    }

    /// The previous value, if there was one.
    @discardableResult
    public mutating func set(_ key: ByteView, to value: Value) -> Value? {
        let hash = hash(key)
        if let place = place(of: key, hash: hash) {
            let old = entries![place].value
            entries![place].value = value
            return old
        }
        if (count + 1) * 4 > capacity * 3 { resize(to: max(4, capacity * 2)) }
        let copy = UnsafeMutableRawPointer.allocate(byteCount: max(1, key.count), alignment: 1)
        copy.copyMemory(from: key.base, byteCount: key.count)
        insert(Entry(hash: hash, keyCount: UInt32(truncatingIfNeeded: key.count), key: copy, value: value))
        count += 1
        return nil
    }

    @discardableResult
    public mutating func remove(_ key: ByteView) -> Value? {
        guard let found = place(of: key, hash: hash(key)), let entries else { return nil }
        let old = entries[found].value
        entries[found].key!.deallocate()
        entries[found].key = nil
        count -= 1
        closeGap(at: found)
        if count == 0 { releaseAll() }
        return old
    }

    /// Every value, in no meaningful order; the same order for the same seed and history.
    public func forEach(_ body: (ByteView, Value) -> Void) {
        guard let entries else { return }
        for place in 0..<capacity {
            let entry = entries[place]
            if let key = entry.key { body(ByteView(base: key, count: Int(entry.keyCount)), entry.value) }
        }
    }

    public mutating func removeAll() { releaseAll() }

    private func place(of key: ByteView, hash: UInt32) -> Int? {
        guard let entries else { return nil }
        var place = Int(hash) & (capacity &- 1)
        while let stored = entries[place].key {
            if entries[place].hash == hash, Int(entries[place].keyCount) == key.count,
                ByteView(base: stored, count: key.count).equals(key)
            {
                return place
            }
            place = (place &+ 1) & (capacity &- 1)
        }
        return nil
    }

    private mutating func insert(_ entry: Entry) {
        var place = Int(entry.hash) & (capacity - 1)
        while entries![place].key != nil { place = (place + 1) & (capacity - 1) }
        entries![place] = entry
    }

    /// Moves later members of a probe run back, so that no tombstones are needed.
    private mutating func closeGap(at gap: Int) {
        guard let entries else { return }
        var gap = gap
        var place = (gap + 1) & (capacity - 1)
        while entries[place].key != nil {
            let home = Int(entries[place].hash) & (capacity - 1)
            if (place - home) & (capacity - 1) >= (place - gap) & (capacity - 1) {
                entries[gap] = entries[place]
                entries[place].key = nil
                gap = place
            }
            place = (place + 1) & (capacity - 1)
        }
    }

    private mutating func resize(to larger: Int) {
        let old = entries
        let oldCapacity = capacity
        entries = .allocate(capacity: larger)
        // Only `key == nil` is ever read of a free entry.
        UnsafeMutableRawPointer(entries!).initializeMemory(
            as: UInt8.self, repeating: 0, count: larger * MemoryLayout<Entry>.stride)
        capacity = larger
        for place in 0..<oldCapacity {
            let entry = old![place]
            if entry.key != nil { insert(entry) }
        }
        old?.deallocate()
    }

    private mutating func releaseAll() {
        guard let entries else { return }
        for place in 0..<capacity { entries[place].key?.deallocate() }
        entries.deallocate()
        self.entries = nil
        capacity = 0
        count = 0
    }

    private func hash(_ key: ByteView) -> UInt32 { key.hash(seed: seed) }
}

extension ByteView {
    /// A seeded hash of the bytes: eight at a time, multiplied and folded.
    public func hash(seed: UInt64) -> UInt32 {
        var state = seed ^ UInt64(truncatingIfNeeded: count) &* 0x9E37_79B9_7F4A_7C15
        var index = 0
        while index &+ 8 <= count {
            state = Self.fold(state ^ base.loadUnaligned(fromByteOffset: index, as: UInt64.self))
            index &+= 8
        }
        var tail: UInt64 = 0
        while index < count {
            tail = tail << 8 | UInt64(base.load(fromByteOffset: index, as: UInt8.self))
            index &+= 1
        }
        state = Self.fold(state ^ tail)
        return UInt32(truncatingIfNeeded: state ^ (state >> 32))
    }

    private static func fold(_ word: UInt64) -> UInt64 {
        let product = (word ^ 0xA076_1D64_78BD_642F).multipliedFullWidth(by: 0xE703_7ED1_A0B4_28DB)
        return product.high ^ product.low
    }
}
