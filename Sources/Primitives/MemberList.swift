/// Doubly linked lists over slots: an element is in at most one list of its `Membership` at a time, and
/// leaves it in constant time from anywhere. A pooled server's state is the list it is in.
public struct Membership: ~Copyable {
    fileprivate var before: [UInt32] = []
    fileprivate var after: [UInt32] = []

    public init() {}

    fileprivate mutating func cover(_ slot: UInt32) {
        while before.count <= Int(slot) {
            before.append(noSlot)
            after.append(noSlot)
        }
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
        let next = members.after[Int(slot)]
        return next == noSlot ? nil : next
    }

    public mutating func append(_ slot: UInt32, in members: inout Membership) {
        members.cover(slot)
        members.before[Int(slot)] = lastSlot
        members.after[Int(slot)] = noSlot
        if lastSlot == noSlot { firstSlot = slot } else { members.after[Int(lastSlot)] = slot }
        lastSlot = slot
        count += 1
    }

    public mutating func prepend(_ slot: UInt32, in members: inout Membership) {
        members.cover(slot)
        members.before[Int(slot)] = noSlot
        members.after[Int(slot)] = firstSlot
        if firstSlot == noSlot { lastSlot = slot } else { members.before[Int(firstSlot)] = slot }
        firstSlot = slot
        count += 1
    }

    /// The slot must be in this list.
    public mutating func remove(_ slot: UInt32, in members: inout Membership) {
        precondition(count > 0, "a list lost count of its members")
        let before = members.before[Int(slot)]
        let after = members.after[Int(slot)]
        if before == noSlot { firstSlot = after } else { members.after[Int(before)] = after }
        if after == noSlot { lastSlot = before } else { members.before[Int(after)] = before }
        members.before[Int(slot)] = noSlot
        members.after[Int(slot)] = noSlot
        count -= 1
    }
}
