/// Doubly linked lists over slots: an element is in at most one list of its `Membership` at a time, and
/// leaves it in constant time from anywhere. A pooled server's state is the list it is in.
public struct Membership: ~Copyable {
    fileprivate struct Links {
        var before = noSlot
        var after = noSlot
    }

    private var links: UnsafeMutablePointer<Links>
    private var capacity: UInt32 = 64

    public init() {
        links = .allocate(capacity: Int(capacity))
        links.initialize(repeating: Links(), count: Int(capacity))
    }

    deinit { links.deallocate() }

    /// The slot must be covered.
    fileprivate subscript(slot: UInt32) -> Links {
        @inline(__always)
        unsafeAddress {
            precondition(slot < capacity, "a slot that was never in a list")
            return UnsafePointer(links + Int(slot))
        }
        @inline(__always)
        unsafeMutableAddress {
            precondition(slot < capacity, "a slot that was never in a list")
            return links + Int(slot)
        }
    }

    @inline(__always)
    fileprivate mutating func cover(_ slot: UInt32) {
        if slot >= capacity { grow(slot) }
    }

    @inline(never)
    private mutating func grow(_ slot: UInt32) {
        let larger = max(capacity &* 2, slot &+ 1)
        let room = UnsafeMutablePointer<Links>.allocate(capacity: Int(larger))
        room.initialize(repeating: Links(), count: Int(larger))
        room.update(from: links, count: Int(capacity))
        links.deallocate()
        links = room
        capacity = larger
    }
}

/// Ends and length of one list; the links are in the `Membership`.
public struct MemberList: Sendable {
    private var firstSlot: UInt32 = noSlot
    private var lastSlot: UInt32 = noSlot
    public private(set) var count = 0

    public init() {}

    public var isEmpty: Bool { count == 0 }
    public var first: UInt32? { firstSlot == noSlot ? nil : firstSlot }
    public var last: UInt32? { lastSlot == noSlot ? nil : lastSlot }

    public func next(after slot: UInt32, in members: borrowing Membership) -> UInt32? {
        let next = members[slot].after
        return next == noSlot ? nil : next
    }

    public mutating func append(_ slot: UInt32, in members: inout Membership) {
        members.cover(slot)
        members[slot].before = lastSlot
        members[slot].after = noSlot
        if lastSlot == noSlot { firstSlot = slot } else { members[lastSlot].after = slot }
        lastSlot = slot
        count += 1
    }

    public mutating func prepend(_ slot: UInt32, in members: inout Membership) {
        members.cover(slot)
        members[slot].before = noSlot
        members[slot].after = firstSlot
        if firstSlot == noSlot { lastSlot = slot } else { members[firstSlot].before = slot }
        firstSlot = slot
        count += 1
    }

    /// The slot must be in this list.
    public mutating func remove(_ slot: UInt32, in members: inout Membership) {
        precondition(count > 0, "a list lost count of its members")
        let before = members[slot].before
        let after = members[slot].after
        if before == noSlot { firstSlot = after } else { members[before].after = after }
        if after == noSlot { lastSlot = before } else { members[after].before = before }
        members[slot].before = noSlot
        members[slot].after = noSlot
        count -= 1
    }
}
