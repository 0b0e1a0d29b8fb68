/// Where something lives in a `SlotTable`, stamped with the generation of the slot, so that a handle kept too
/// long is noticed instead of meaning the slot's next owner.
@frozen
public struct Handle: Hashable, BitwiseCopyable, Sendable {
    public let slot: UInt32
    public let generation: UInt32
    @inlinable
    public init(slot: UInt32, generation: UInt32) {
        self.slot = slot
        self.generation = generation
    }
}

/// A handle of one kind; the compiler keeps the kinds apart.
public protocol TypedHandle: Hashable, BitwiseCopyable, Sendable {
    init(_ handle: Handle)
    var handle: Handle { get }
}

/// A session with an application.
@frozen
public struct ClientID: TypedHandle {
    public let handle: Handle
    @inlinable public init(_ handle: Handle) { self.handle = handle }
}

/// A session with PostgreSQL.
@frozen
public struct ServerID: TypedHandle {
    public let handle: Handle
    @inlinable public init(_ handle: Handle) { self.handle = handle }
}

/// One socket as the engine knows it: a client's or a server's.
@frozen
public enum LinkID: Hashable, BitwiseCopyable, Sendable {
    case client(ClientID)
    case server(ServerID)

    @inlinable
    public var handle: Handle {
        switch self {
        case .client(let id): id.handle
        case .server(let id): id.handle
        }
    }

    /// One word for an event queue's user data: bit 63 = server, 31 bits of generation, 32 bits of slot.
    @inlinable
    public var packed: UInt64 {
        let handle = handle
        let body = UInt64(handle.generation & 0x7FFF_FFFF) << 32 | UInt64(handle.slot)
        if case .server = self { return body | 1 << 63 }
        return body
    }

    @inlinable
    public init(packed: UInt64) {
        let handle = Handle(
            slot: UInt32(truncatingIfNeeded: packed),
            generation: UInt32(truncatingIfNeeded: packed >> 32) & 0x7FFF_FFFF)
        self = packed >> 63 == 1 ? .server(ServerID(handle)) : .client(ClientID(handle))
    }
}
