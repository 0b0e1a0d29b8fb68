public import Primitives

/// What a pooled server is doing. A server is in exactly one list of its pool, and the list is its state.
public enum ServerState: UInt8, CaseIterable, Sendable {
    /// Being connected and logged in. *Leads to:* idle, active, testing.
    case opening
    /// Logged in, clean, nobody's. *Leads to:* active, testing.
    case idle
    /// Lent to a client. *Leads to:* idle, testing, or another client.
    case active
    /// Nobody's, but answering a query of ours (check, reset, connect query, fence). *Leads to:* idle,
    /// active.
    case testing
    /// Not a session: a connection that carries one cancel request. *Leads to:* nothing.
    case cancelling
}

/// Which state every server of this worker is in.
public struct ServerRoster: ~Copyable {
    fileprivate var members = Membership()
    fileprivate var states: [ServerState?] = []

    public init() {}

    public func state(_ server: ServerID) -> ServerState? {
        let slot = Int(server.handle.slot)
        return slot < states.count ? states[slot] : nil
    }

    fileprivate mutating func set(_ server: ServerID, _ state: ServerState?) {
        let slot = Int(server.handle.slot)
        while states.count <= slot { states.append(nil) }
        states[slot] = state
    }
}

/// The servers of one pool, by state.
public struct ServerLists {
    private var opening = MemberList()
    private var idle = MemberList()
    private var active = MemberList()
    private var testing = MemberList()
    private var cancelling = MemberList()
    /// Sessions that other workers have, or that are on their way to them or back.
    public var lent = 0

    public init() {}

    public subscript(state: ServerState) -> MemberList {
        switch state {
        case .opening: opening
        case .idle: idle
        case .active: active
        case .testing: testing
        case .cancelling: cancelling
        }
    }

    /// Sessions with PostgreSQL, present and coming; what `pool_size` counts.
    public var sessions: Int { here + lent }

    /// Of these, the ones this worker has.
    public var here: Int { opening.count + idle.count + active.count + testing.count }

    /// Puts a server into a list, out of the one it was in; `nil` takes it out of the pool. The only way a
    /// server's state changes.
    public mutating func move(_ server: ServerID, to state: ServerState?, in roster: inout ServerRoster) {
        let slot = server.handle.slot
        if let old = roster.state(server) {
            change(old) { $0.remove(slot, in: &roster.members) }
        }
        roster.set(server, state)
        if let state {
            change(state) { $0.append(slot, in: &roster.members) }
        }
    }

    /// The idle server to lend: the one used last, or, with `server_round_robin`, the one idle longest.
    public func idleSlot(roundRobin: Bool) -> UInt32? { roundRobin ? idle.first : idle.last }

    /// Every slot in a state, first come first; `body` may move the slot it is given.
    public func forEach(_ state: ServerState, in roster: borrowing ServerRoster, _ body: (UInt32) -> Void) {
        let list = self[state]
        var slot = list.first
        while let current = slot {
            slot = list.next(after: current, in: roster.members)
            body(current)
        }
    }

    private mutating func change(_ state: ServerState, _ body: (inout MemberList) -> Void) {
        switch state {
        case .opening: body(&opening)
        case .idle: body(&idle)
        case .active: body(&active)
        case .testing: body(&testing)
        case .cancelling: body(&cancelling)
        }
    }
}
