/// Storage addressed by generation-stamped handles. Elements never move; memory comes in chunks of 256 and is
/// touched only when used, so that a table may be allowed to grow large and cost little.
public struct SlotTable<ID: TypedHandle, Element: ~Copyable>: ~Copyable {
    /// What stands in front of each element.
    @usableFromInline
    struct Stamp {
        /// That of the live handle; with `vacant` set while nobody lives here, so that no handle fits.
        @usableFromInline var generation: UInt32
        @usableFromInline var nextFree: UInt32
    }

    @usableFromInline static var vacant: UInt32 { 1 << 31 }
    @usableFromInline static var chunkBits: UInt32 { 8 }
    @usableFromInline static var chunkSize: UInt32 { 1 << chunkBits }
    /// A table never holds more than this many elements.
    public static var capacityLimit: UInt32 { 1 << 20 }

    @usableFromInline let chunks: UnsafeMutablePointer<UnsafeMutableRawPointer>
    @usableFromInline var used: UInt32 = 0
    private var firstFree: UInt32 = noSlot
    /// Elements now in the table.
    public private(set) var count = 0

    public init() {
        precondition(
            MemoryLayout<Element>.alignment <= MemoryLayout<Stamp>.stride, "elements of odd alignment")
        chunks = .allocate(capacity: Int(Self.capacityLimit >> Self.chunkBits))
    }

    deinit {
        var slot: UInt32 = 0
        while slot < used {
            if isTaken(slot) { element(slot).deinitialize(count: 1) }
            slot += 1
        }
        var chunk = 0
        while chunk < Int((used + Self.chunkSize - 1) >> Self.chunkBits) {
            chunks[chunk].deallocate()
            chunk += 1
        }
        chunks.deallocate()
    }

    /// Slots ever used: a loop over `0..<slotCount` with `id(at:)` meets every element, in slot order.
    public var slotCount: UInt32 { used }

    /// The element's handle, or `nil` when the table is full.
    public mutating func insert(_ new: consuming Element) -> ID? {
        let slot: UInt32
        if firstFree != noSlot {
            slot = firstFree
            firstFree = stamp(slot).pointee.nextFree
        } else {
            guard used < Self.capacityLimit else { return nil }
            slot = used
            if slot & (Self.chunkSize - 1) == 0 {
                chunks[Int(slot >> Self.chunkBits)] = .allocate(
                    byteCount: Self.cellBytes * Int(Self.chunkSize), alignment: MemoryLayout<Stamp>.stride)
            }
            used += 1
            stamp(slot).initialize(to: Stamp(generation: Self.vacant, nextFree: noSlot))
        }
        element(slot).initialize(to: new)
        let generation = (stamp(slot).pointee.generation &+ 1) & ~Self.vacant
        stamp(slot).pointee.generation = generation
        count += 1
        return ID(Handle(slot: slot, generation: generation))
    }

    /// Removes the element; its handle is dead from here on.
    public mutating func remove(_ id: ID) {
        let slot = id.handle.slot
        self.cell(of: id).assumingMemoryBound(to: Element.self).deinitialize(count: 1)
        stamp(slot).pointee.generation = (id.handle.generation &+ 1) | Self.vacant
        stamp(slot).pointee.nextFree = firstFree
        firstFree = slot
        count -= 1
    }

    @inlinable
    public func contains(_ id: ID) -> Bool {
        let handle = id.handle
        return handle.slot < used && stamp(handle.slot).pointee.generation == handle.generation
    }

    /// The live handle in this slot, if there is one.
    public func id(at slot: UInt32) -> ID? {
        guard slot < used, isTaken(slot) else { return nil }
        return ID(Handle(slot: slot, generation: stamp(slot).pointee.generation))
    }

    /// The element; a dead handle is our own mistake and stops the process rather than touch a stranger's
    /// session.
    @inlinable
    public subscript(id: ID) -> Element {
        @inline(__always)
        unsafeAddress { UnsafePointer(cell(of: id).assumingMemoryBound(to: Element.self)) }
        @inline(__always)
        unsafeMutableAddress { cell(of: id).assumingMemoryBound(to: Element.self) }
    }

    /// Where the element of a live handle is. On the path of every query, some hundred times.
    @inlinable
    @inline(__always)
    func cell(of id: ID) -> UnsafeMutableRawPointer {
        let handle = id.handle
        precondition(handle.slot < used, "a dead handle was used")
        let cell = cell(handle.slot)
        precondition(
            cell.assumingMemoryBound(to: Stamp.self).pointee.generation == handle.generation,
            "a dead handle was used")
        return cell + MemoryLayout<Stamp>.stride
    }

    @usableFromInline static var cellBytes: Int {
        @inline(__always) get {
            let stamp = MemoryLayout<Stamp>.stride
            return stamp + (MemoryLayout<Element>.size + stamp - 1) / stamp * stamp
        }
    }

    @inlinable
    @inline(__always)
    func cell(_ slot: UInt32) -> UnsafeMutableRawPointer {
        chunks[Int(slot >> Self.chunkBits)] + Int(slot & (Self.chunkSize &- 1)) &* Self.cellBytes
    }

    @inlinable
    @inline(__always)
    func stamp(_ slot: UInt32) -> UnsafeMutablePointer<Stamp> {
        cell(slot).assumingMemoryBound(to: Stamp.self)
    }

    private func element(_ slot: UInt32) -> UnsafeMutablePointer<Element> {
        (cell(slot) + MemoryLayout<Stamp>.stride).assumingMemoryBound(to: Element.self)
    }

    private func isTaken(_ slot: UInt32) -> Bool { stamp(slot).pointee.generation & Self.vacant == 0 }
}

/// "No slot", for links between slots.
@usableFromInline let noSlot: UInt32 = .max
