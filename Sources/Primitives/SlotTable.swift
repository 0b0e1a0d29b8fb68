/// Storage addressed by generation-stamped handles. Elements never move; memory comes in chunks of 256 and is
/// touched only when used, so that a table may be allowed to grow large and cost little.
///
/// A slot's generation is odd while somebody lives in it.
public struct SlotTable<ID: TypedHandle, Element: ~Copyable>: ~Copyable {
    @usableFromInline
    struct Stamp {
        @usableFromInline var generation: UInt32
        @usableFromInline var nextFree: UInt32
    }

    @usableFromInline static var chunkBits: UInt32 { 8 }
    @usableFromInline static var chunkSize: UInt32 { 1 << chunkBits }
    /// A table never holds more than this many elements.
    public static var capacityLimit: UInt32 { 1 << 20 }

    @usableFromInline let elements: UnsafeMutablePointer<UnsafeMutablePointer<Element>>
    @usableFromInline let stamps: UnsafeMutablePointer<UnsafeMutablePointer<Stamp>>
    @usableFromInline var used: UInt32 = 0
    private var firstFree: UInt32 = noSlot
    /// Elements now in the table.
    public private(set) var count = 0

    public init() {
        elements = .allocate(capacity: Int(Self.capacityLimit >> Self.chunkBits))
        stamps = .allocate(capacity: Int(Self.capacityLimit >> Self.chunkBits))
    }

    deinit {
        var slot: UInt32 = 0
        while slot < used {
            if stamp(slot).pointee.generation & 1 == 1 { element(slot).deinitialize(count: 1) }
            slot += 1
        }
        var chunk = 0
        while chunk < Int((used + Self.chunkSize - 1) >> Self.chunkBits) {
            elements[chunk].deallocate()
            stamps[chunk].deallocate()
            chunk += 1
        }
        elements.deallocate()
        stamps.deallocate()
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
                elements[Int(slot >> Self.chunkBits)] = .allocate(capacity: Int(Self.chunkSize))
                stamps[Int(slot >> Self.chunkBits)] = .allocate(capacity: Int(Self.chunkSize))
            }
            used += 1
            stamp(slot).initialize(to: Stamp(generation: 0, nextFree: noSlot))
        }
        element(slot).initialize(to: new)
        let generation = (stamp(slot).pointee.generation &+ 1) & 0x7FFF_FFFF
        stamp(slot).pointee.generation = generation
        count += 1
        return ID(Handle(slot: slot, generation: generation))
    }

    /// Removes the element; its handle is dead from here on.
    public mutating func remove(_ id: ID) {
        precondition(contains(id), "a dead handle was removed")
        let slot = id.handle.slot
        element(slot).deinitialize(count: 1)
        stamp(slot).pointee.generation = (id.handle.generation &+ 1) & 0x7FFF_FFFF
        stamp(slot).pointee.nextFree = firstFree
        firstFree = slot
        count -= 1
    }

    @inlinable
    public func contains(_ id: ID) -> Bool {
        let handle = id.handle
        return handle.slot < used && handle.generation & 1 == 1
            && stamp(handle.slot).pointee.generation == handle.generation
    }

    /// The live handle in this slot, if there is one.
    public func id(at slot: UInt32) -> ID? {
        guard slot < used else { return nil }
        let generation = stamp(slot).pointee.generation
        return generation & 1 == 1 ? ID(Handle(slot: slot, generation: generation)) : nil
    }

    /// The element; a dead handle is our own mistake and stops the process rather than touch a stranger's
    /// session.
    @inlinable
    public subscript(id: ID) -> Element {
        @inline(__always)
        unsafeAddress {
            precondition(contains(id), "a dead handle was used")
            return UnsafePointer(element(id.handle.slot))
        }
        @inline(__always)
        unsafeMutableAddress {
            precondition(contains(id), "a dead handle was used")
            return element(id.handle.slot)
        }
    }

    @inlinable
    @inline(__always)
    func element(_ slot: UInt32) -> UnsafeMutablePointer<Element> {
        elements[Int(slot >> Self.chunkBits)] + Int(slot & (Self.chunkSize &- 1))
    }

    @inlinable
    @inline(__always)
    func stamp(_ slot: UInt32) -> UnsafeMutablePointer<Stamp> {
        stamps[Int(slot >> Self.chunkBits)] + Int(slot & (Self.chunkSize &- 1))
    }
}

/// "No slot", for links between slots.
@usableFromInline let noSlot: UInt32 = .max
