/// Where something lives in a `SlotTable`, stamped with the generation of the slot, so that a handle kept too
/// long is noticed instead of meaning the slot's next owner.
@frozen
package struct Handle: Hashable, BitwiseCopyable, Sendable {
    package let slot: UInt32
    package let generation: UInt32
    @inlinable
    package init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }
}

/// A handle of one kind; the compiler keeps the kinds apart.
package protocol TypedHandle: Hashable, BitwiseCopyable, Sendable {
    init(_ handle: Handle)
    var handle: Handle { get }
}

/// A session with an application.
@frozen
package struct ClientID: TypedHandle {
    package let handle: Handle
    @inlinable package init(_ handle: Handle) { self.handle = handle }
}

/// A session with PostgreSQL.
@frozen
package struct ServerID: TypedHandle {
    package let handle: Handle
    @inlinable package init(_ handle: Handle) { self.handle = handle }
}

/// One socket as the engine knows it: a client's or a server's.
@frozen
package enum LinkID: Hashable, BitwiseCopyable, Sendable {
    case client(ClientID)
    case server(ServerID)

    @inlinable
    package var handle: Handle {
        switch self {
        case .client(let id): id.handle
        case .server(let id): id.handle
        }
    }

    /// One word for an event queue's user data: bit 63 = server, 31 bits of generation, 32 bits of slot.
    @inlinable
    package var packed: UInt64 {
        let handle = handle
        let body = UInt64(handle.generation & 0x7FFF_FFFF) << 32 | UInt64(handle.slot)
        if case .server = self { return body | 1 << 63 }
        return body
    }

    @inlinable
    package init(packed: UInt64) {
        let handle = Handle(
            slot: UInt32(truncatingIfNeeded: packed),
            generation: UInt32(truncatingIfNeeded: packed >> 32) & 0x7FFF_FFFF)
        self = packed >> 63 == 1 ? .server(ServerID(handle)) : .client(ClientID(handle))
    }
}
